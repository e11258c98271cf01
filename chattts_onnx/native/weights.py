"""One product with a constant weight, in each of the forms that bundles hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from .graph import Array, Attribute, UnknownGraphError
from .match import Walk, number_of

_MATMUL, _BLOCKS = "MatMul", "com.microsoft::MatMulNBits"
_REAL = "DequantizeLinear"
_FLOAT = 1
_INTEGERS = 4
"""MatMulNBits' accuracy level that rounds activations to INT8, a scale a block."""


class Form(IntEnum):
    """How weights and activations are multiplied; numbers are those of ``Format`` in matrix.h."""

    FLOAT = 0
    STATIC = 1
    BLOCKS = 2


@dataclass(frozen=True)
class Weight:
    """A weight as the graph stores it: layouts are those of ``Source`` in pack.h."""

    form: Form
    inputs: int
    outputs: int
    values: Array
    scales: Array | None = None
    zeros: Array | None = None
    bias: Array | None = None
    bits: int = 32
    block: int = 0
    input_scale: float = 1.0
    input_zero: int = 0
    lower_scale: float = 0.0
    """Above 0: activations have 16 bits, and this is the scale of what 8 give too much."""
    lower_zero: int = 0


def take_product(walk: Walk, name: str, bias: Array | None = None) -> tuple[Weight, str]:
    """The product that makes ``name`` and the name of what it reads; ``bias`` is added to it."""
    node = walk.take(name, "Sub") if walk.kind(name) == "Sub" else None
    if node is not None and walk.holds(node.inputs[1], np.float32):
        # What rounding the weights adds on average, taken off again.
        surplus = walk.constant(node.inputs[1], np.float32, -1)
        bias = -surplus if bias is None else bias - surplus
        name = node.inputs[0]
        node = walk.take(name, "Sub") if walk.kind(name) == "Sub" else None
    if node is not None:
        weight, source = _take_wide(walk, *node.inputs)
    elif walk.kind(name) == _BLOCKS:
        weight, source = _take_blocks(walk, name)
    else:
        weight, source = _take(walk, name)
    if bias is not None and bias.shape != (weight.outputs,):
        raise UnknownGraphError(f"a bias of shape {list(bias.shape)}")
    return replace(weight, bias=bias), source


def _take_blocks(walk: Walk, name: str) -> tuple[Weight, str]:
    known: dict[str, Attribute | None] = dict.fromkeys(("K", "N", "bits", "block_size"))
    node = walk.take(name, _BLOCKS, accuracy_level=_INTEGERS, **known)
    number_of(node.attributes, "accuracy_level")
    inputs, outputs, bits, block = (int(number_of(node.attributes, key)) for key in known)
    if bits not in (4, 8) or block < 1 or inputs < 1 or inputs % block or len(node.inputs) > 4:
        raise UnknownGraphError(f"{bits} bits in blocks of {block} of {inputs} inputs")
    count = inputs // block
    source, values, scales, *zeros = node.inputs
    return Weight(
        Form.BLOCKS,
        inputs,
        outputs,
        walk.constant(values, np.uint8, outputs, count, block * bits // 8),
        _scales(walk, scales, outputs, count),
        walk.constant(zeros[0], np.uint8, outputs, -(-count * bits // 8)) if zeros else None,
        bits=bits,
        block=block,
    ), source


def _scales(walk: Walk, name: str, outputs: int, count: int) -> Array:
    if walk.kind(name) == "Cast":
        half = walk.take(name, "Cast", to=_FLOAT, saturate=1)
        return walk.constant(half.inputs[0], np.float16, outputs, count)
    return walk.constant(name, np.float32, outputs, count)


def _take(walk: Walk, name: str) -> tuple[Weight, str]:
    node = walk.take(name, _MATMUL)
    source, weight = node.inputs
    if walk.holds(weight, np.float32):
        values = walk.constant(weight, np.float32, -1, -1)
        inputs, outputs = values.shape
        return Weight(Form.FLOAT, inputs, outputs, values), source
    return _take_static(walk, source, weight)


def _take_static(walk: Walk, source: str, weight: str) -> tuple[Weight, str]:
    stored = walk.take(weight, _REAL, axis=1)
    values = walk.constant(stored.inputs[0], np.int8, -1, -1)
    inputs, outputs = values.shape
    scales = walk.constant(stored.inputs[1], np.float32, outputs)
    if walk.constant(stored.inputs[2], np.int8, outputs).any():
        raise UnknownGraphError("weights with zero points")
    rounded, scale, zero = _take_rounding(walk, source)
    return Weight(
        Form.STATIC,
        inputs,
        outputs,
        values,
        scales,
        bits=8,
        input_scale=scale,
        input_zero=zero,
    ), rounded


def _take_rounding(walk: Walk, name: str) -> tuple[str, float, int]:
    """What a pair of QuantizeLinear and DequantizeLinear reads, its scale and its zero point."""
    real = walk.take(name, _REAL)
    rounded = walk.take(real.inputs[0], "QuantizeLinear")
    for mine, other in zip(real.inputs[1:], rounded.inputs[1:], strict=True):
        walk.same(mine, other)
    scale = walk.number(rounded.inputs[1], np.float32)
    return rounded.inputs[0], scale, walk.number(rounded.inputs[2], np.uint8)


def _take_wide(walk: Walk, upper: str, lower: str) -> tuple[Weight, str]:
    """Two products by one weight: of 8 bits, less that of what they gave too much."""
    first, second = walk.take(upper, _MATMUL), walk.take(lower, _MATMUL)
    walk.same(second.inputs[1], first.inputs[1])
    weight, source = _take_static(walk, *first.inputs)
    rest, scale, zero = _take_rounding(walk, second.inputs[0])
    left_over = walk.take(rest, "Sub")
    walk.same(left_over.inputs[0], first.inputs[0])
    walk.same(left_over.inputs[1], source)
    if scale <= 0:
        raise UnknownGraphError("a scale that is not above 0")
    return replace(weight, lower_scale=scale, lower_zero=zero), source
