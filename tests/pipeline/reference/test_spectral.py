"""DFTs in two steps against PyTorch's FFT."""

from __future__ import annotations

import pytest
import torch

from pipeline.checkpoint.buffers import mel_filter_bank
from pipeline.reference.spectral import (
    LOG_FLOOR,
    InverseRealDFT,
    InverseSTFT,
    LogMel,
    RealDFT,
)

N_FFT, HOP = 1024, 256


def test_inverse_stft_equals_torch() -> None:
    torch.manual_seed(0)
    spectrum = torch.randn(2, N_FFT // 2 + 1, 12, dtype=torch.complex64)
    expected = torch.istft(spectrum, N_FFT, HOP, window=torch.hann_window(N_FFT), center=True)
    transposed = spectrum.transpose(1, 2)
    found = InverseSTFT(N_FFT, HOP)(transposed.real, transposed.imag)
    assert found.shape == (2, 11 * HOP)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_log_mel_equals_torch() -> None:
    torch.manual_seed(0)
    waveform = 0.1 * torch.randn(2, 24_000)
    spectrum = torch.stft(
        waveform, N_FFT, HOP, window=torch.hann_window(N_FFT), center=True,
        pad_mode="reflect", return_complex=True,
    )  # fmt: skip
    filters = torch.from_numpy(mel_filter_bank(N_FFT, 100, 24_000))
    expected = (spectrum.abs().transpose(1, 2) @ filters).clamp_min(LOG_FLOOR).log()
    found = LogMel(24_000, N_FFT, HOP, 100)(waveform)
    assert found.shape == (2, 100, 1 + 24_000 // HOP)
    torch.testing.assert_close(found, expected.transpose(1, 2), atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("points", [8, 30, 98, 1024])
def test_both_directions_equal_torch(points: int) -> None:
    """Also where the two factors differ and where half of a factor is none."""
    frames = torch.randn(2, 3, points, generator=torch.Generator().manual_seed(points))
    bins = torch.fft.rfft(frames)
    real, imaginary = RealDFT(points)(frames)
    torch.testing.assert_close(torch.complex(real, imaginary), bins, atol=1e-4, rtol=1e-4)
    back = InverseRealDFT(points)(bins.real, bins.imag)
    torch.testing.assert_close(back, frames, atol=1e-5, rtol=1e-4)
