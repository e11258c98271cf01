"""The Decoder (hidden states to mel) and the DVAE (codes to mel, waveform to codes)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.checkpoint.dims import CheckpointDims
from pipeline.reference.convnext import ConvStack, split_frames
from pipeline.reference.gfsq import GroupedResidualFSQ
from pipeline.reference.spectral import LogMel


class Decoder(nn.Module):
    """GPT hidden states to log-mel, two frames a step."""

    def __init__(self, dims: CheckpointDims) -> None:
        super().__init__()
        self.decoder = ConvStack(dims.decoder)
        self.out_conv = _out_conv(dims.decoder.out_channels, dims.num_mels)
        self.register_buffer("coef", torch.ones(1, dims.num_mels, 1))
        self.coef: Tensor

    def forward(self, hidden: Tensor) -> Tensor:
        """Map ``hidden`` [B, T, hidden_size] to mel [B, num_mels, 2 T]."""
        frames = split_frames(hidden.transpose(1, 2))
        return self.out_conv(self.decoder(frames)) * self.coef


class DVAE(nn.Module):
    """Codes to log-mel and, for voice cloning, waveform to codes."""

    def __init__(self, dims: CheckpointDims) -> None:
        super().__init__()
        vq, width = dims.vq, dims.dvae_encoder.in_channels
        self.decoder = ConvStack(dims.dvae_decoder)
        self.encoder = ConvStack(dims.dvae_encoder)
        self.downsample_conv = nn.Sequential(
            nn.Conv1d(dims.num_mels, width, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(width, width, 4, stride=2, padding=1),
            nn.GELU(),
        )
        self.quantizer = GroupedResidualFSQ(vq.dim, vq.levels, vq.groups, vq.residuals)
        self.log_mel = LogMel(dims.sample_rate, dims.n_fft, dims.hop_length, dims.num_mels)
        self.out_conv = _out_conv(dims.dvae_decoder.out_channels, dims.num_mels)
        self.register_buffer("coef", torch.ones(1, dims.num_mels, 1))
        self.coef: Tensor

    def decode(self, codes: Tensor) -> Tensor:
        """Map ``codes`` int64 [B, T, num_vq] to mel [B, num_mels, 2 T]."""
        frames = split_frames(self.quantizer.decode(codes).transpose(1, 2))
        return self.out_conv(self.decoder(frames)) * self.coef

    def encode(self, waveform: Tensor) -> Tensor:
        """Map ``waveform`` [B, samples] to codes int64 [B, T, num_vq]."""
        mel = self.log_mel(waveform) / self.coef
        features = self.encoder(self.downsample_conv(mel))
        return self.quantizer.encode(features.transpose(1, 2))


def _out_conv(in_channels: int, num_mels: int) -> nn.Conv1d:
    return nn.Conv1d(in_channels, num_mels, 3, padding=1, bias=False)
