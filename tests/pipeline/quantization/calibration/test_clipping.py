"""Ranges of least squared error."""

from __future__ import annotations

import numpy as np

from pipeline.quantization.calibration.clipping import mse_range
from pipeline.quantization.calibration.histogram import Histogram


def error(values: np.ndarray, low: float, high: float) -> float:
    scale = (high - low) / 255
    rounded = np.rint((np.clip(values, low, high) - low) / scale) * scale + low
    return float(np.square(values - rounded).mean())


def test_a_few_outliers_are_clipped_where_that_costs_less() -> None:
    """Less error than the whole range, and than cutting off far too much."""
    random = np.random.default_rng(0)
    values = np.concatenate([random.standard_normal(100_000), [40.0, -35.0]]).astype(np.float32)
    histogram = Histogram(2048)
    histogram.update(values)
    low, high = mse_range(histogram, symmetric=False)
    assert high < 40 and low > -35
    assert error(values, low, high) < 0.8 * error(values, -35, 40)
    assert error(values, low, high) < error(values, -1, 1)
    low, high = mse_range(histogram, symmetric=True)
    assert low == -high and high < 40


def test_a_one_sided_tensor_keeps_its_zero() -> None:
    """What is never negative gets no negative range."""
    histogram = Histogram(1024)
    histogram.update(np.abs(np.random.default_rng(0).standard_normal(1000)).astype(np.float32))
    low, high = mse_range(histogram, symmetric=False)
    assert low == 0 and high > 2
