"""Scales, zero points and rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.quantization.integers import activation_scale, quantize_weight
from pipeline.quantization.targets import TARGETS


@pytest.mark.parametrize("target", sorted(TARGETS))
@given(low=st.floats(-500, 0), high=st.floats(0, 500))
def test_activations_come_back_within_half_a_step(target: str, low: float, high: float) -> None:
    """Every value of the range survives within half a step, and zero exactly."""
    scale = activation_scale((low, high), TARGETS[target])
    limits = np.iinfo(scale.dtype)
    values = np.append(np.linspace(low, high, 101), 0.0)
    integers = np.clip(np.rint(values / scale.scale) + scale.zero_point, limits.min, limits.max)
    back = (integers - scale.zero_point) * scale.scale
    assert np.abs(back - values).max() <= scale.scale * 0.501
    assert back[-1] == 0.0


@pytest.mark.parametrize("target", sorted(TARGETS))
@given(low=st.floats(-500, -1e-3), high=st.floats(1e-3, 500))
def test_activations_use_every_integer(target: str, low: float, high: float) -> None:
    """From end to end of the type, or to the end of the larger side where zero is the middle."""
    scale = activation_scale((low, high), TARGETS[target])
    limits = np.iinfo(scale.dtype)
    ends = np.rint(np.array([low, high]) / scale.scale) + scale.zero_point
    if scale.dtype == "int8":
        assert np.abs(ends).max() == limits.max == 127
    else:
        assert ends[1] - ends[0] >= limits.max - 1
        assert ends.min() >= -1
        assert ends.max() <= limits.max + 1


def test_tensorrt_is_symmetric() -> None:
    """TensorRT knows no zero points."""
    assert activation_scale((-1.0, 3.0), TARGETS["tensorrt"]).zero_point == 0


@given(seed=st.integers(0, 99), axis=st.integers(0, 1), limit=st.sampled_from([64, 127]))
def test_weights_per_channel(seed: int, axis: int, limit: int) -> None:
    """Each channel uses the whole integer range and comes back within half a step."""
    weight = np.random.default_rng(seed).standard_normal((6, 9)).astype(np.float32)
    integers, scales = quantize_weight(weight, axis, limit)
    assert integers.dtype == np.int8
    assert np.abs(integers).max() == limit
    shape = (-1, 1) if axis == 0 else (1, -1)
    error = np.abs(integers * scales.reshape(shape) - weight)
    assert (error <= scales.reshape(shape) * 0.501).all()


def test_zero_channel() -> None:
    """A channel of zeros stays zero instead of dividing by zero."""
    integers, scales = quantize_weight(np.zeros((4, 3), np.float32), 1, 127)
    assert not integers.any()
    assert (scales > 0).all()


def test_seven_bits_do_not_saturate_avx2() -> None:
    """Two U8S8 products fit the 16-bit sum of vpmaddubsw."""
    limit = TARGETS["cpu-avx2"].weight_limit
    assert 2 * 255 * limit <= np.iinfo(np.int16).max < 2 * 255 * (limit + 1)
