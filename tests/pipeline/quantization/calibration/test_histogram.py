"""Histograms: exact counts, whatever the order and however the range grows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import QuantizationError
from pipeline.quantization.calibration.histogram import Histogram

# Three decimals: a value nearer to an edge than float64 resolves falls on either side of it.
SIZES = st.lists(st.floats(-1e4, 1e4, width=32).map(lambda x: round(x, 3)), min_size=1, max_size=50)


@given(st.lists(SIZES, min_size=1, max_size=6))
def test_order_of_batches_does_not_matter(batches: list[list[float]]) -> None:
    """Growing by merging bins gives the counts that the final bins would have given."""
    forward, backward, whole = Histogram(64), Histogram(64), Histogram(64)
    for batch in batches:
        forward.update(np.array(batch, np.float32))
    for batch in reversed(batches):
        backward.update(np.array(batch, np.float32))
    whole.update(np.concatenate([np.array(batch, np.float32) for batch in batches]))
    assert forward.limit == backward.limit == whole.limit
    assert np.array_equal(forward.counts, whole.counts)
    assert np.array_equal(backward.counts, whole.counts)
    assert (forward.minimum, forward.maximum) == (whole.minimum, whole.maximum)


@given(SIZES, SIZES)
def test_merged_is_the_histogram_of_both(first: list[float], second: list[float]) -> None:
    """Merging two phases equals counting them together."""
    left, right, both = Histogram(64), Histogram(64), Histogram(64)
    left.update(np.array(first))
    right.update(np.array(second))
    both.update(np.array(first + second))
    merged = left.merged(right)
    assert np.array_equal(merged.counts, both.counts)
    assert (merged.minimum, merged.maximum) == (both.minimum, both.maximum)
    assert left.total == len(first)


def test_memory_is_fixed() -> None:
    """Any number of batches leaves the same number of bins, and loses no value."""
    histogram = Histogram(512)
    random = np.random.default_rng(0)
    for scale in (0.01, 1.0, 300.0):
        histogram.update(random.standard_normal(10_000).astype(np.float32) * np.float32(scale))
    assert histogram.counts.shape == (512,)
    assert histogram.total == 30_000


def test_refuses_what_is_not_finite() -> None:
    """A broken FP32 bundle is named before anything is quantized."""
    with pytest.raises(QuantizationError, match="finite"):
        Histogram(64).update(np.array([1.0, np.nan]))


def test_refuses_other_bins() -> None:
    """Histograms of two calibrations cannot be added."""
    with pytest.raises(QuantizationError, match="64 and 128"):
        Histogram(64).merged(Histogram(128))
