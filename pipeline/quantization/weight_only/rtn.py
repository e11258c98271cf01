"""Round to nearest: each block by itself, without data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.quantization.weight_only.blocks import BlockFormat, BlockWeight, to_blocks
from pipeline.quantization.weight_only.scales import fit_scales, refit, round_blocks

Array = NDArray[Any]
Fitted = tuple[Array, Array, Array]

CHUNK_ELEMENTS = 1 << 18
"""Weights worked on at once: what the temporaries of a search need stays in the cache."""


def quantize(weight: Array, layout: BlockFormat, search: int) -> BlockWeight:
    """Round ``weight`` [N, K] to nearest, with scales of :func:`fit_scales`."""

    def fit(blocks: Array) -> Fitted:
        scales, zeros = fit_scales(blocks, layout, search)
        integers = round_blocks(blocks, scales, zeros, layout)
        if search:
            scales = refit(blocks, integers, scales, zeros)
            integers = round_blocks(blocks, scales, zeros, layout)
        return integers, scales, zeros

    return by_chunks(weight, layout, fit)


def by_chunks(weight: Array, layout: BlockFormat, fit: Callable[[Array], Fitted]) -> BlockWeight:
    """Apply ``fit`` (blocks [R, G] to integers [R, G], scales [R], zero points [R]) to all rows."""
    outputs, inputs = weight.shape
    count = layout.blocks(inputs)
    integers = np.empty((outputs, inputs), np.uint8)
    scales = np.empty((outputs, count), np.float32)
    zeros = np.empty((outputs, count), np.uint8)
    rows = max(1, CHUNK_ELEMENTS // inputs)
    for start in range(0, outputs, rows):
        part = slice(start, start + rows)
        blocks = to_blocks(np.ascontiguousarray(weight[part], np.float32), layout.block_size)
        found, scale, zero = fit(blocks)
        integers[part] = found.reshape(-1, count * layout.block_size)[:, :inputs]
        scales[part] = scale.reshape(-1, count)
        zeros[part] = zero.reshape(-1, count)
    return BlockWeight(layout, integers, scales, zeros)
