"""From a histogram to the range that quantization keeps: MinMax, Percentile or MSE."""

from __future__ import annotations

import numpy as np

from pipeline.core.errors import QuantizationError
from pipeline.quantization.calibration.clipping import mse_range
from pipeline.quantization.calibration.histogram import Histogram


def activation_range(
    histogram: Histogram, calibrator: str, percentile: float, symmetric: bool = False
) -> tuple[float, float]:
    """The range (low <= 0, high >= 0) to spread over the integers.

    Args:
        histogram: of all values the tensor took.
        calibrator: ``minmax``, ``percentile`` or ``mse``.
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
    elif calibrator == "mse":
        low, high = mse_range(histogram, symmetric)
    elif calibrator != "minmax":
        raise QuantizationError(
            f"found calibrator {calibrator!r}, expected minmax, percentile or mse"
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
