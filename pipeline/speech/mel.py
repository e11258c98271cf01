"""Mel power spectrograms as DNSMOS and the voice encoder were trained on, in numpy.

Both use librosa's defaults: centred frames padded with zeros, a periodic Hann window, squared
magnitudes, and filters on Slaney's mel scale (Auditory Toolbox 1998) of equal area.  librosa itself
compiles for a minute when it is first called.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_LINEAR_HZ = 200.0 / 3
_BREAK_HZ, _BREAK_MEL = 1000.0, 15.0
_LOG_STEP = np.log(6.4) / 27.0


def mel_power(
    audio: npt.ArrayLike, sample_rate: int, n_fft: int, hop_length: int, num_mels: int
) -> Floats:
    """Power ``[frames, num_mels]`` of ``audio [samples]``."""
    padded = np.pad(np.asarray(audio, dtype=np.float64), n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)
    power = np.abs(np.fft.rfft(frames * window, axis=-1)) ** 2
    result: Floats = power @ slaney_filters(sample_rate, n_fft, num_mels)
    return result


def decibels(power: Floats, floor: float = 1e-10, dynamic_range: float = 80.0) -> Floats:
    """10·log10 relative to the loudest value, cut ``dynamic_range`` dB below it."""
    levels = 10.0 * np.log10(np.maximum(power, floor))
    result: Floats = np.maximum(levels - levels.max(), -dynamic_range)
    return result


@lru_cache(maxsize=4)
def slaney_filters(sample_rate: int, n_fft: int, num_mels: int) -> Floats:
    """Triangles ``[n_fft // 2 + 1, num_mels]`` from 0 Hz to half the sample rate, area 1 each."""
    bins = np.fft.rfftfreq(n_fft, 1.0 / sample_rate)
    top = _BREAK_MEL + np.log(sample_rate / 2 / _BREAK_HZ) / _LOG_STEP
    edges = _hertz(np.linspace(0.0, top, num_mels + 2))
    widths = np.diff(edges)
    slopes = edges[None, :] - bins[:, None]
    rising, falling = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    areas = 2.0 / (edges[2:] - edges[:-2])
    result: Floats = np.maximum(0.0, np.minimum(rising, falling)) * areas
    return result


def _hertz(mels: Floats) -> Floats:
    linear = _LINEAR_HZ * mels
    logarithmic = _BREAK_HZ * np.exp(_LOG_STEP * (mels - _BREAK_MEL))
    result: Floats = np.where(mels < _BREAK_MEL, linear, logarithmic)
    return result
