"""Spectrogram and inverse STFT as products with small matrices, the same in PyTorch and in ONNX.

ONNX has no inverse STFT, and its DFT runs on few execution providers.  A DFT of n = a * b points is
one of a points, a rotation, and one of b points (Cooley and Tukey, 1965): for 1024 points tables of
some kilobytes, where the whole matrix takes 4.2 MB, and an eighth of the multiplications.
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


def _rotations(rows: int, columns: int, points: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine [rows, columns] of 2 pi * row * column / points, in float64."""
    product = torch.outer(torch.arange(rows), torch.arange(columns))
    # reduced modulo the points: large products would lose digits in the cosine
    angle = 2 * math.pi / points * (product % points).double()
    return angle.cos(), angle.sin()


def _factors(points: int) -> tuple[int, int]:
    """The two divisors of ``points`` that are nearest to each other."""
    small = max(d for d in range(1, math.isqrt(points) + 1) if points % d == 0)
    return points // small, small


class _Rotations(nn.Module):
    """Multiplies complex numbers by fixed ones; real parts lie above imaginary ones."""

    def __init__(self, cos: Tensor, sin: Tensor) -> None:
        super().__init__()
        self.register_buffer("cos", cos.float(), persistent=False)
        self.register_buffer("sin", sin.float(), persistent=False)
        self.cos: Tensor
        self.sin: Tensor

    def forward(self, values: Tensor) -> Tensor:
        """Map [..., 2 * rows, columns] to [..., rows, 2 * columns], real parts first."""
        real, imaginary = values.chunk(2, dim=-2)
        return torch.cat(
            (real * self.cos - imaginary * self.sin, real * self.sin + imaginary * self.cos), dim=-1
        )


class RealDFT(nn.Module):
    """Bins 0 to n / 2 of real frames of n points.

    With n = a * b, sample b * i + j and bin p + a * q: DFTs over i for each j, a rotation by j * p,
    DFTs over j.
    """

    def __init__(self, points: int) -> None:
        super().__init__()
        self.points, (self.a, self.b) = points, _factors(points)
        self.bins = points // 2 + 1
        self.rows = (self.bins - 1) // self.a + 1
        cos, sin = _rotations(self.a, self.a, self.a)
        first = torch.cat((cos, -sin))
        cos, sin = _rotations(self.b, self.rows, self.b)
        second = torch.cat((torch.cat((cos, -sin), 1), torch.cat((sin, cos), 1)))
        self.register_buffer("dft_first", first.float(), persistent=False)
        self.register_buffer("dft_second", second.float(), persistent=False)
        cos, sin = _rotations(self.a, self.b, points)
        self.rotations = _Rotations(cos, -sin)
        self.dft_first: Tensor
        self.dft_second: Tensor

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``frames`` [B, F, n] to real and imaginary parts [B, F, n / 2 + 1]."""
        parts = torch.matmul(self.dft_first, frames.unflatten(-1, (self.a, self.b)))
        bins = torch.matmul(self.rotations(parts), self.dft_second)
        bins = bins.transpose(-1, -2).flatten(-2).unflatten(-1, (2, -1))[..., : self.bins]
        return bins[..., 0, :], bins[..., 1, :]


class InverseRealDFT(nn.Module):
    """Real frames of n points from their bins 0 to n / 2.

    With n = a * b, bin b * p + q and sample i + a * j: DFTs over p for each q, a rotation by q * i,
    DFTs over q.
    """

    def __init__(self, points: int) -> None:
        super().__init__()
        self.points, (self.a, self.b) = points, _factors(points)
        self.bins = points // 2 + 1
        self.rows = (self.bins - 1) // self.b + 1
        cos, sin = _rotations(self.a, self.rows, self.a)
        first = torch.cat((torch.cat((cos, -sin), 1), torch.cat((sin, cos), 1)))
        cos, sin = _rotations(self.b, self.b, self.b)
        second = torch.cat((cos, -sin)) / points
        # one-sided: every bin but the first and the last stands for two
        weight = torch.full((self.bins,), 2.0)
        weight[0] = weight[-1] = 1.0
        self.register_buffer("dft_first", first.float(), persistent=False)
        self.register_buffer("dft_second", second.float(), persistent=False)
        self.register_buffer("dft_weight", weight, persistent=False)
        self.rotations = _Rotations(*_rotations(self.a, self.b, points))
        self.dft_first: Tensor
        self.dft_second: Tensor
        self.dft_weight: Tensor

    def forward(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Map parts [B, F, n / 2 + 1] to frames [B, F, n]."""
        bins = torch.stack((real, imaginary), dim=-2) * self.dft_weight
        padded = F.pad(bins, (0, self.rows * self.b - self.bins))
        parts = padded.unflatten(-1, (self.rows, self.b)).flatten(-3, -2)
        turned = self.rotations(torch.matmul(self.dft_first, parts))
        return torch.matmul(turned, self.dft_second).transpose(-1, -2).flatten(-2)


def _window(n_fft: int) -> Tensor:
    return torch.from_numpy(hann_window(n_fft)).double()


class LogMel(nn.Module):
    """Log-mel spectrogram: magnitude, centred with reflection, natural log clipped at 1e-5."""

    def __init__(self, sample_rate: int, n_fft: int, hop_length: int, num_mels: int) -> None:
        super().__init__()
        filters = torch.from_numpy(mel_filter_bank(n_fft, num_mels, sample_rate))
        self.n_fft, self.hop_length = n_fft, hop_length
        self.dft = RealDFT(n_fft)
        self.register_buffer("window", _window(n_fft).float(), persistent=False)
        self.register_buffer("filters", filters, persistent=False)
        self.window: Tensor
        self.filters: Tensor

    def forward(self, waveform: Tensor) -> Tensor:
        """Map ``waveform`` [B, samples] to [B, num_mels, 1 + samples // hop_length]."""
        real, imaginary = self.dft(self._frames(waveform) * self.window)
        magnitude = torch.sqrt(real.square() + imaginary.square())
        mel = torch.matmul(magnitude, self.filters)
        return torch.log(mel.clamp_min(LOG_FLOOR)).transpose(1, 2)

    def _frames(self, waveform: Tensor) -> Tensor:
        """Centred frames [B, 1 + samples // hop_length, n_fft] of ``waveform`` [B, samples]."""
        count, overlap = 1 + waveform.shape[-1] // self.hop_length, self.n_fft // self.hop_length
        padded = F.pad(waveform.unsqueeze(1), (self.n_fft // 2, self.n_fft // 2), mode="reflect")
        hops = padded[:, 0, : (count + overlap - 1) * self.hop_length]
        hops = hops.unflatten(-1, (count + overlap - 1, self.hop_length))
        return torch.cat([hops[:, i : i + count] for i in range(overlap)], dim=-1)


class InverseSTFT(nn.Module):
    """Centred inverse STFT by an inverse real DFT per frame and overlap-add."""

    def __init__(self, n_fft: int, hop_length: int) -> None:
        super().__init__()
        window = _window(n_fft)
        self.n_fft, self.hop_length = n_fft, hop_length
        self.dft = InverseRealDFT(n_fft)
        self.register_buffer("window", window.float(), persistent=False)
        self.register_buffer("istft_envelope", window.square().float(), persistent=False)
        self.window: Tensor
        self.istft_envelope: Tensor

    def forward(self, real: Tensor, imaginary: Tensor) -> Tensor:
        """Map spectra [B, frames, n_fft / 2 + 1] to [B, (frames - 1) * hop_length] samples."""
        frames = self.dft(real, imaginary) * self.window
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
