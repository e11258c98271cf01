from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.fidelity.spectra import log_mel, magnitude_spectrogram, mel_filterbank


@pytest.mark.parametrize("samples", [256, 1000, 5120])
def test_spectrogram_equals_torch(samples: int) -> None:
    waveform = np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    n_fft, hop = 256, 64
    expected = torch.stft(
        torch.from_numpy(waveform).double(),
        n_fft,
        hop,
        window=torch.hann_window(n_fft, dtype=torch.float64),
        return_complex=True,
    ).abs()
    found = magnitude_spectrogram(waveform, n_fft, hop)
    assert found.shape == (n_fft // 2 + 1, samples // hop + 1)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-9)


def test_short_waveforms_have_a_frame() -> None:
    assert magnitude_spectrogram(np.ones(1), 256, 64).shape == (129, 1)
    assert magnitude_spectrogram(np.ones(100), 256, 64).shape == (129, 2)


@pytest.mark.parametrize("shape", [(0,), (1, 100)])
def test_only_one_dimension_is_taken(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected \\[samples\\]"):
        magnitude_spectrogram(np.zeros(shape), 256, 64)


def test_mel_filters_cross_at_half_and_peak_at_one() -> None:
    bank = mel_filterbank(24_000, 1024, 100)
    assert bank.shape == (513, 100)
    # Neighbouring triangles of peak 1 sum to 1 between the first and the last peak.
    between = bank[10:490].sum(axis=1)
    np.testing.assert_allclose(between, 1.0, atol=1e-9)
    assert bank.max() <= 1.0


def test_log_mel_of_a_tone_peaks_at_its_mel_bin() -> None:
    time = np.arange(24_000) / 24_000
    mel = log_mel(np.sin(2 * np.pi * 1000.0 * time))
    # 1000 Hz is 1000 mel of 3266; 102 intervals would put it at 1000 / 3266 * 101 = bin 30.
    assert mel.shape == (100, 24_000 // 256 + 1)
    assert mel[:, 40].argmax() == round(2595 * np.log10(1 + 1000 / 700) / 3266.0 * 101) - 1


def test_log_mel_of_silence_is_the_floor() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(4096)), np.log(1e-5))
