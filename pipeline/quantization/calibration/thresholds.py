"""From a histogram to the range that quantization keeps: MinMax, Percentile, Entropy or MSE."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import QuantizationError
from pipeline.quantization.calibration.histogram import Histogram
from pipeline.quantization.int8.clipping import mse_range

QUANTIZED_LEVELS = 128
"""Magnitudes an INT8 value can take; the entropy search compares with this many levels."""


def activation_range(
    histogram: Histogram, calibrator: str, percentile: float, symmetric: bool = False
) -> tuple[float, float]:
    """The range (low <= 0, high >= 0) to spread over the integers.

    Args:
        histogram: of all values the tensor took.
        calibrator: ``minmax``, ``percentile``, ``entropy`` or ``mse``.
        percentile: for ``percentile``, the share of values inside the range, in percent; the rest
            is cut in equal parts on both sides.
        symmetric: for ``mse``, the integers have no zero point.

    Raises:
        QuantizationError: the histogram is empty, or the calibrator is unknown.
    """
    if histogram.total == 0:
        raise QuantizationError(
            "found a tensor without a single value, expected activations; "
            "run the calibrate stage again"
        )
    low, high = histogram.minimum, histogram.maximum
    if calibrator == "percentile":
        cut_low, cut_high = _percentile_range(histogram, percentile)
        low, high = max(low, cut_low), min(high, cut_high)
    elif calibrator == "entropy":
        threshold = _entropy_threshold(histogram)
        low, high = max(low, -threshold), min(high, threshold)
    elif calibrator == "mse":
        low, high = mse_range(histogram, symmetric)
    elif calibrator != "minmax":
        raise QuantizationError(
            f"found calibrator {calibrator!r}, expected minmax, percentile, entropy or mse"
        )
    # zero must be exact: padding and masked positions are zeros
    return min(low, 0.0), max(high, 0.0)


def _percentile_range(histogram: Histogram, percentile: float) -> tuple[float, float]:
    """Edges of the bins within which the middle ``percentile`` percent of values lie."""
    tail = histogram.total * (1 - percentile / 100) / 2
    cumulative = np.cumsum(histogram.counts)
    first = int(np.searchsorted(cumulative, tail, side="right"))
    last = int(np.searchsorted(cumulative, histogram.total - tail, side="left"))
    width = 2 * histogram.limit / histogram.bins
    return first * width - histogram.limit, (last + 1) * width - histogram.limit


def _entropy_threshold(histogram: Histogram) -> float:
    """The magnitude to clip at that loses least information (Migacz, GTC 2017).

    Each candidate's clipped distribution of magnitudes is compared with its form in
    :data:`QUANTIZED_LEVELS` levels by Kullback-Leibler divergence.
    """
    half = histogram.bins // 2
    magnitudes = histogram.counts[half:] + histogram.counts[:half][::-1]
    used = int(np.flatnonzero(magnitudes)[-1]) + 1
    candidates = [*range(QUANTIZED_LEVELS, used, max(half // QUANTIZED_LEVELS, 1)), used]
    divergences = [_clipping_divergence(magnitudes, stop) for stop in candidates]
    best = candidates[int(np.argmin(divergences))]
    return float(best * histogram.limit / half)


def _clipping_divergence(magnitudes: NDArray[np.int64], stop: int) -> float:
    kept = magnitudes[:stop].astype(np.float64)
    reference = kept.copy()
    reference[-1] += magnitudes[stop:].sum()
    edges = np.linspace(0, stop, min(QUANTIZED_LEVELS, stop) + 1).astype(np.int64)
    occupied = (kept > 0).astype(np.float64)
    sums = np.add.reduceat(kept, edges[:-1])
    shares = np.maximum(np.add.reduceat(occupied, edges[:-1]), 1)
    spread = np.repeat(sums / shares, np.diff(edges)) * occupied
    # a bin only the clipped outliers fill would make the divergence infinite
    smooth = 1e-4
    p = (reference + smooth) / (reference + smooth).sum()
    q = (spread + smooth) / (spread + smooth).sum()
    return float((p * np.log(p / q)).sum())
