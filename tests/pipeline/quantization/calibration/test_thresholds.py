"""Calibrators: what they keep of a distribution with outliers."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.core.errors import QuantizationError
from pipeline.quantization.calibration.clipping import mse_range
from pipeline.quantization.calibration.histogram import Histogram
from pipeline.quantization.calibration.thresholds import activation_range


def with_outliers() -> Histogram:
    """A normal distribution, and one value in twenty thousand far outside."""
    values = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    values[:5] = [60.0, 80.0, -70.0, 100.0, -90.0]
    histogram = Histogram(2048)
    histogram.update(values)
    return histogram


def test_minmax_is_exact() -> None:
    """MinMax keeps everything, to the last digit."""
    assert activation_range(with_outliers(), "minmax", 99.9) == (-90.0, 100.0)


def test_percentile_cuts_outliers_only() -> None:
    """99.9 % of a normal distribution lies within 3.3 deviations."""
    low, high = activation_range(with_outliers(), "percentile", 99.9)
    assert -3.8 < low < -3.0
    assert 3.0 < high < 3.8


def test_percentile_100_is_minmax() -> None:
    """Nothing is cut at 100 percent."""
    histogram = with_outliers()
    assert activation_range(histogram, "percentile", 100.0) == (-90.0, 100.0)


@pytest.mark.parametrize("symmetric", [False, True])
def test_mse_is_the_range_of_least_error(symmetric: bool) -> None:
    """It clips the outliers, and is what the search for it finds."""
    histogram = with_outliers()
    found = activation_range(histogram, "mse", 99.9, symmetric)
    assert found == mse_range(histogram, symmetric)
    assert found != activation_range(histogram, "minmax", 99.9)
    assert -90 < found[0] < -3
    assert 3 < found[1] < 100


@pytest.mark.parametrize("calibrator", ["minmax", "percentile", "mse"])
def test_ranges_hold_zero(calibrator: str) -> None:
    """A tensor without negative values still gets an exact zero."""
    histogram = Histogram(512)
    histogram.update(np.linspace(3, 4, 1001, dtype=np.float32))
    low, high = activation_range(histogram, calibrator, 99.0)
    assert low == 0.0
    assert 3.9 < high <= 4.0


def test_empty_and_unknown_are_named() -> None:
    """Errors say what to do."""
    with pytest.raises(QuantizationError, match="without a single value"):
        activation_range(Histogram(512), "minmax", 99.0)
    with pytest.raises(QuantizationError, match="median"):
        activation_range(with_outliers(), "median", 99.0)
