"""Ranges that lose least: where clipping outliers costs less than coarser steps for the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.quantization.calibration.histogram import Histogram

Array = NDArray[Any]

CANDIDATES = 64
"""Ends tried on each side of a range."""

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
