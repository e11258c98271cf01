"""Spectrogram and inverse STFT as fixed matrices, the same in PyTorch and in ONNX.

ONNX has no inverse STFT, so both directions are written as products with DFT bases: exact, and
runnable on every execution provider.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.checkpoint.buffers import hann_window, mel_filter_bank

LOG_FLOOR = 1e-5
# edges of the overlap-add where the windows sum to nothing are trimmed by centring
ENVELOPE_FLOOR = 1e-11


def _dft(n_fft: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine [n_fft / 2 + 1, n_fft], in float64 for exact bases."""
    frequency = torch.arange(n_fft // 2 + 1, dtype=torch.float64)
    sample = torch.arange(n_fft, dtype=torch.float64)
    # reduced modulo n_fft: large products would lose digits in the cosine
    angle = 2 * math.pi / n_fft * (torch.outer(frequency, sample) % n_fft)
    return angle.cos(), angle.sin()


def _window(n_fft: int) -> Tensor:
    return torch.from_numpy(hann_window(n_fft)).double()


class LogMel(nn.Module):
    """Log-mel spectrogram: magnitude, centred with reflection, natural log clipped at 1e-5."""

    def __init__(self, sample_rate: int, n_fft: int, hop_length: int, num_mels: int) -> None:
        super().__init__()
        cos, sin = _dft(n_fft)
        basis = torch.cat((cos, -sin)) * _window(n_fft)
        filters = torch.from_numpy(mel_filter_bank(n_fft, num_mels, sample_rate))
        self.n_fft, self.hop_length = n_fft, hop_length
        self.register_buffer("stft_basis", basis.float().unsqueeze(1), persistent=False)
        self.register_buffer("filters", filters, persistent=False)
        self.stft_basis: Tensor
        self.filters: Tensor

    def forward(self, waveform: Tensor) -> Tensor:
        """Map ``waveform`` [B, samples] to [B, num_mels, 1 + samples // hop_length]."""
        padded = F.pad(waveform.unsqueeze(1), (self.n_fft // 2, self.n_fft // 2), mode="reflect")
        spectrum = F.conv1d(padded, self.stft_basis, stride=self.hop_length)
        real, imaginary = spectrum.chunk(2, dim=1)
        magnitude = torch.sqrt(real.square() + imaginary.square())
        mel = torch.matmul(magnitude.transpose(1, 2), self.filters)
        return torch.log(mel.clamp_min(LOG_FLOOR)).transpose(1, 2)


class InverseSTFT(nn.Module):
    """Centred inverse STFT by an inverse real DFT per frame and overlap-add."""

    def __init__(self, n_fft: int, hop_length: int) -> None:
        super().__init__()
        window = _window(n_fft)
        cos, sin = _dft(n_fft)
        # one-sided spectrum: every bin but the first and the last stands for two
        weight = torch.full((n_fft // 2 + 1, 1), 2.0, dtype=torch.float64)
        weight[0] = weight[-1] = 1.0
        basis = torch.cat((weight * cos, -weight * sin)) / n_fft * window
        self.n_fft, self.hop_length = n_fft, hop_length
        self.register_buffer("istft_basis", basis.float(), persistent=False)
        self.register_buffer("istft_envelope", window.square().float(), persistent=False)
        self.istft_basis: Tensor
        self.istft_envelope: Tensor

    def forward(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Map spectra [B, frames, n_fft / 2 + 1] to [B, (frames - 1) * hop_length] samples."""
        frames = torch.matmul(torch.cat((real, imaginary), dim=-1), self.istft_basis)
        waveform = self._overlap_add(frames)
        ones = torch.ones_like(frames[:1, :, :1])
        envelope = self._overlap_add(ones * self.istft_envelope)
        trim = self.n_fft // 2
        # after trimming every sample lies under at least two windows
        return waveform[:, trim:-trim] / envelope[:, trim:-trim].clamp_min(ENVELOPE_FLOOR)

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """Sum frames [B, F, n_fft], each ``hop_length`` after the last, to [B, samples]."""
        overlap = self.n_fft // self.hop_length
        batch = frames.shape[0]
        hops = frames.unflatten(-1, (overlap, self.hop_length))
        total = F.pad(hops[:, :, 0], (0, 0, 0, overlap - 1))
        for i in range(1, overlap):
            total = total + F.pad(hops[:, :, i], (0, 0, i, overlap - 1 - i))
        return total.reshape(batch, -1)
