"""Vocos (Siuzdak 2023, arXiv:2306.00814): log-mel frames to a waveform through an inverse STFT."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.checkpoint.dims import CheckpointDims
from pipeline.reference.convnext import NORM_EPS, ConvNeXtBlock
from pipeline.reference.spectral import InverseSTFT

MAX_MAGNITUDE = 1e2


class Backbone(nn.Module):
    """Embedding conv, ConvNeXt blocks of dilation 1, final norm."""

    def __init__(self, dims: CheckpointDims) -> None:
        super().__init__()
        stack = dims.vocos
        self.embed = nn.Conv1d(dims.num_mels, stack.hidden, stack.kernel, padding=stack.kernel // 2)
        self.norm = nn.LayerNorm(stack.hidden, eps=NORM_EPS)
        self.convnext = nn.ModuleList(
            ConvNeXtBlock(stack, "gamma") for _ in range(stack.num_layers)
        )
        self.final_layer_norm = nn.LayerNorm(stack.hidden, eps=NORM_EPS)

    def forward(self, mel: Tensor) -> Tensor:
        """Map ``mel`` [B, num_mels, F] to [B, F, hidden]."""
        x = self.norm(self.embed(mel).transpose(1, 2)).transpose(1, 2)
        for block in self.convnext:
            x = block(x)
        return self.final_layer_norm(x.transpose(1, 2))


class Head(nn.Module):
    """Linear layer to log-magnitude and phase, then the inverse STFT."""

    def __init__(self, dims: CheckpointDims) -> None:
        super().__init__()
        self.out = nn.Linear(dims.vocos.hidden, dims.n_fft + 2)
        self.istft = InverseSTFT(dims.n_fft, dims.hop_length)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` [B, F, hidden] to [B, (F - 1) * hop_length] samples."""
        log_magnitude, phase = self.out(x).chunk(2, dim=-1)
        magnitude = torch.exp(log_magnitude).clamp_max(MAX_MAGNITUDE)
        return self.istft(magnitude * torch.cos(phase), magnitude * torch.sin(phase))


class Vocos(nn.Module):
    """Mel spectrogram to waveform."""

    def __init__(self, dims: CheckpointDims) -> None:
        super().__init__()
        self.backbone = Backbone(dims)
        self.head = Head(dims)

    def forward(self, mel: Tensor) -> Tensor:
        """Map log-mel ``mel`` [B, num_mels, F] to a waveform [B, (F - 1) * hop_length]."""
        return self.head(self.backbone(mel))
