"""Arithmetic of quantization: scales, zero points, rounding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.quantization.targets import Target

Array = NDArray[Any]

SMALLEST_SCALE = 2.0**-40
"""Scale of a tensor that is zero everywhere: any positive one gives back zero."""


@dataclass(frozen=True)
class ActivationScale:
    """``real = (integer - zero_point) * scale`` of one tensor; ``dtype`` is uint8 or int8."""

    scale: float
    zero_point: int
    dtype: str

    def zero_point_array(self) -> Array:
        """The zero point as a scalar of its type."""
        return np.array(self.zero_point, self.dtype)


def activation_scale(limits: tuple[float, float], target: Target) -> ActivationScale:
    """Spread a range (low <= 0 <= high) over the integers of ``target``'s activations."""
    low, high = limits
    if target.activation == "int8":
        scale = max(max(-low, high) / 127, SMALLEST_SCALE)
        return ActivationScale(_float32(scale), 0, "int8")
    scale = _float32(max((high - low) / 255, SMALLEST_SCALE))
    zero_point = min(255, max(0, round(-low / scale)))
    return ActivationScale(scale, zero_point, "uint8")


def quantize_weight(weight: Array, channel_axis: int, limit: int) -> tuple[Array, Array]:
    """Symmetric INT8 with a scale for each index of ``channel_axis``.

    Args:
        weight: float32, any shape.
        channel_axis: the axis that keeps its own scales.
        limit: largest magnitude of an integer, which the largest weight of an index becomes.

    Returns:
        int8 of the weight's shape, and float32 scales of the axis's length.
    """
    others = tuple(axis for axis in range(weight.ndim) if axis != channel_axis)
    largest = np.abs(weight).max(axis=others)
    scales = np.maximum(largest / np.float32(limit), np.float32(SMALLEST_SCALE)).astype(np.float32)
    shape = [1] * weight.ndim
    shape[channel_axis] = -1
    integers = np.rint(weight / scales.reshape(shape))
    return np.clip(integers, -limit, limit).astype(np.int8), scales


def rounded_weight(weight: Array, channel_axis: int, limit: int) -> Array:
    """What the integers of :func:`quantize_weight` stand for."""
    integers, scales = quantize_weight(weight, channel_axis, limit)
    shape = [1] * weight.ndim
    shape[channel_axis] = -1
    result: Array = integers * scales.reshape(shape)
    return result


def rounded_activation(values: Array, scale: ActivationScale) -> Array:
    """``values`` quantized and back."""
    kind = np.iinfo(scale.dtype)
    integers = np.clip(np.rint(values / scale.scale) + scale.zero_point, kind.min, kind.max)
    result: Array = ((integers - scale.zero_point) * scale.scale).astype(np.float32)
    return result


def _float32(value: float) -> float:
    return float(np.float32(value))
