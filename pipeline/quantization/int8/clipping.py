"""Ranges that lose least: where clipping outliers costs less than coarser steps for the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.quantization.calibration.histogram import Histogram
from pipeline.quantization.integers import SMALLEST_SCALE

Array = NDArray[Any]

CANDIDATES = 64
"""Ends tried on each side of a range."""

SHARES = np.linspace(0.6, 1.0, 21, dtype=np.float32)
"""Shares of a channel's largest weight that are tried as its limit."""

STEPS = 255
"""Steps of an 8-bit range."""


def mse_range(histogram: Histogram, symmetric: bool) -> tuple[float, float]:
    """The range whose 8-bit integers have the smallest expected squared error.

    A value inside costs step²/12 (uniform rounding), one outside the square of its distance.

    Args:
        histogram: of all values the tensor took.
        symmetric: both ends have the same magnitude (INT8 without zero point).
    """
    width = 2 * histogram.limit / histogram.bins
    centers = (np.arange(histogram.bins) + 0.5) * width - histogram.limit
    counts = histogram.counts.astype(np.float64)
    lows = np.linspace(0, -min(histogram.minimum, 0.0), CANDIDATES + 1)
    highs = np.linspace(0, max(histogram.maximum, 0.0), CANDIDATES + 1)
    if symmetric:
        ends = np.linspace(0, max(lows[-1], highs[-1]), CANDIDATES + 1)[1:]
        cut = _cut_error(-centers, counts, ends) + _cut_error(centers, counts, ends)
        rounding = np.square(2 * ends / (STEPS - 1)) / 12 * counts.sum()
        end = float(ends[np.argmin(cut + rounding)])
        return max(-end, min(histogram.minimum, 0.0)), min(end, max(histogram.maximum, 0.0))
    cut = _cut_error(-centers, counts, lows)[:, None] + _cut_error(centers, counts, highs)[None]
    rounding = np.square((lows[:, None] + highs[None]) / STEPS) / 12 * counts.sum()
    low, high = np.unravel_index(np.argmin(cut + rounding), cut.shape)
    return -float(lows[low]), float(highs[high])


def _cut_error(centers: Array, counts: Array, ends: Array) -> Array:
    """Squared error of clipping at each of ``ends`` from above, [len(ends)]."""
    beyond = np.maximum(centers[None, :] - ends[:, None], 0.0)
    result: Array = np.square(beyond) @ counts
    return result


def clipped_limits(weight: Array, importance: Array, limit: int) -> Array:
    """The magnitude of each output channel that shall become the integer ``limit``.

    Args:
        weight: float32 [N, K], output channels first.
        importance: [K], mean square of each input: an error of a weight counts as much as what
            it is multiplied with.
        limit: largest magnitude of an integer.

    Returns:
        float32 [N].
    """
    largest = np.abs(weight).max(axis=1)
    best = np.full(len(weight), np.inf)
    chosen = largest.copy()
    for share in SHARES[::-1]:
        scales = np.maximum(largest * share / np.float32(limit), np.float32(SMALLEST_SCALE))
        integers = np.clip(np.rint(weight / scales[:, None]), -limit, limit)
        error = np.square(weight - integers * scales[:, None]) @ importance
        better = error < best
        best[better], chosen[better] = error[better], largest[better] * share
    return chosen
