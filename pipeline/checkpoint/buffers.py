"""Constant tensors that official files carry: the Hann window and the mel filter bank."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def hann_window(n_fft: int) -> NDArray[np.float32]:
    """Return the periodic Hann window ``[n_fft]``: 0.5 - 0.5 cos(2 pi n / n_fft)."""
    phase = 2.0 * np.pi * np.arange(n_fft) / n_fft
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


def mel_filter_bank(n_fft: int, num_mels: int, sample_rate: int) -> NDArray[np.float32]:
    """Return triangular HTK mel filters ``[n_fft // 2 + 1, num_mels]``, not normalised.

    HTK scale: mel = 2595 log10(1 + f / 700); corners are equally spaced in mel from 0 Hz to half
    the sample rate.
    """
    frequencies = np.linspace(0.0, sample_rate / 2, n_fft // 2 + 1)
    top = 2595.0 * np.log10(1.0 + sample_rate / 2 / 700.0)
    corners = 700.0 * (10.0 ** (np.linspace(0.0, top, num_mels + 2) / 2595.0) - 1.0)
    widths = np.diff(corners)
    distances = corners[None, :] - frequencies[:, None]
    rising = -distances[:, :-2] / widths[:-1]
    falling = distances[:, 2:] / widths[1:]
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
