"""Magnitude spectrogram and log-mel of a waveform, as ChatTTS defines them, in plain numpy.

24 kHz, n_fft 1024, hop 256, 100 mel bins on the HTK scale without normalisation, magnitudes
(power 1), centred frames with reflection, natural log clipped at 1e-5.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.fidelity.metrics import LOG_FLOOR, Floats


def magnitude_spectrogram(waveform: ArrayLike, n_fft: int, hop_length: int) -> Floats:
    """Magnitudes ``[n_fft // 2 + 1, frames]`` of ``waveform [samples]``; centred, Hann window.

    ``frames`` is ``samples // hop_length + 1``, as in ``torch.stft(center=True)``.

    Raises:
        ValueError: the waveform is not one-dimensional or is empty.
    """
    samples = np.asarray(waveform, dtype=np.float64)
    if samples.ndim != 1 or samples.size == 0:
        raise ValueError(f"waveform has shape {samples.shape}, expected [samples], not empty")
    # numpy reflects repeatedly where the signal is shorter than the padding; torch refuses.
    padded = np.pad(samples, n_fft // 2, mode="reflect" if samples.size > 1 else "edge")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    result: Floats = np.abs(np.fft.rfft(frames * _hann(n_fft), axis=-1)).T
    return result


def log_mel(
    waveform: ArrayLike,
    sample_rate: int = 24_000,
    n_fft: int = 1024,
    hop_length: int = 256,
    num_mels: int = 100,
) -> Floats:
    """Log-mel ``[num_mels, frames]`` of ``waveform [samples]``, natural log."""
    magnitudes = magnitude_spectrogram(waveform, n_fft, hop_length)
    mel = mel_filterbank(sample_rate, n_fft, num_mels).T @ magnitudes
    result: Floats = np.log(np.maximum(mel, LOG_FLOOR))
    return result


@lru_cache(maxsize=4)
def mel_filterbank(sample_rate: int, n_fft: int, num_mels: int) -> Floats:
    """Triangular HTK filters ``[n_fft // 2 + 1, num_mels]`` from 0 Hz to half the sample rate.

    mel = 2595·log10(1 + f/700) (O'Shaughnessy 1987); peaks of 1, no area normalisation.
    """
    frequencies = np.linspace(0.0, sample_rate / 2, n_fft // 2 + 1)
    top = 2595.0 * np.log10(1.0 + sample_rate / 2 / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, top, num_mels + 2) / 2595.0) - 1.0)
    slopes = edges[None, :] - frequencies[:, None]
    widths = np.diff(edges)
    rising, falling = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    result: Floats = np.maximum(0.0, np.minimum(rising, falling))
    return result


@lru_cache(maxsize=4)
def _hann(n_fft: int) -> NDArray[np.float64]:
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)
