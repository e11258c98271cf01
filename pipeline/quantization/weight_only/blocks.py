"""Weights in blocks of small integers, and the byte layout that MatMulNBits reads.

``real = (integer - zero_point) * scale`` with a scale, and perhaps a zero point, for each block of
``block_size`` neighbouring weights of one output.  The layout is that of ONNX Runtime's operator
``com.microsoft::MatMulNBits``; the tests compare it with a float MatMul.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class BlockFormat:
    """How one weight matrix is stored.

    Attributes:
        bits: 4 or 8.
        block_size: weights that share a scale, a power of two from 16.
        symmetric: no stored zero points; the middle of the range means zero.
    """

    bits: int
    block_size: int
    symmetric: bool

    @property
    def middle(self) -> int:
        """The zero point of symmetric blocks, which MatMulNBits takes where none is given."""
        return 1 << (self.bits - 1)

    @property
    def largest(self) -> int:
        """The largest integer."""
        return (1 << self.bits) - 1

    def blocks(self, inputs: int) -> int:
        """Blocks that ``inputs`` weights take; the last one may be partly empty."""
        return -(-inputs // self.block_size)


@dataclass(frozen=True)
class BlockWeight:
    """A quantized matrix of N outputs and K inputs in B blocks an output.

    Attributes:
        format: how it is stored.
        integers: uint8 [N, K].
        scales: float32 [N, B]; a negative one is allowed.
        zero_points: uint8 [N, B], all :attr:`BlockFormat.middle` where symmetric.
    """

    format: BlockFormat
    integers: Array
    scales: Array
    zero_points: Array

    def dequantized(self) -> Array:
        """The weights that the integers stand for, float32 [N, K]."""
        size, inputs = self.format.block_size, self.integers.shape[1]
        zeros = np.repeat(self.zero_points, size, axis=1)[:, :inputs].astype(np.float32)
        scales = np.repeat(self.scales, size, axis=1)[:, :inputs]
        result: Array = (self.integers - zeros) * scales
        return result

    def packed(self) -> Array:
        """Input B of MatMulNBits: uint8 [N, B, block_size * bits / 8], low bits first."""
        outputs, inputs = self.integers.shape
        size, count = self.format.block_size, self.format.blocks(inputs)
        padded = np.zeros((outputs, count * size), np.uint8)
        padded[:, :inputs] = self.integers
        return _pack(padded, self.format.bits).reshape(outputs, count, -1)

    def packed_zero_points(self) -> Array:
        """Input ``zero_points``: uint8 [N, ceil(B * bits / 8)], low bits first."""
        outputs, count = self.zero_points.shape
        per_byte = 8 // self.format.bits
        padded = np.zeros((outputs, -(-count // per_byte) * per_byte), np.uint8)
        padded[:, :count] = self.zero_points
        return _pack(padded, self.format.bits)


def to_blocks(weight: Array, size: int) -> Array:
    """[N, K] as [N * B, size]; an incomplete last block is filled with zeros."""
    outputs, inputs = weight.shape
    count = -(-inputs // size)
    if count * size == inputs:
        return weight.reshape(-1, size)
    padded = np.zeros((outputs, count * size), weight.dtype)
    padded[:, :inputs] = weight
    return padded.reshape(-1, size)


def _pack(integers: Array, bits: int) -> Array:
    return integers if bits == 8 else integers[:, 0::2] | (integers[:, 1::2] << 4)
