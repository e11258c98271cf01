"""Scales and zero points of blocks: the full range, or the ones with the smallest squared error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.quantization.integers import SMALLEST_SCALE
from pipeline.quantization.weight_only.blocks import BlockFormat

Array = NDArray[Any]

WIDEST, NARROWEST = 1.1, 0.7
"""Ends of the search, in shares of the block's full range: below 1 clips, above 1 leaves room."""


def fit_scales(blocks: Array, layout: BlockFormat, search: int) -> tuple[Array, Array]:
    """Scales and zero points of weights in blocks.

    Without a search the block's extremes decide: a symmetric block maps its largest magnitude to
    integer 0 (one step further out than the largest integer, so that no step is wasted; the scale
    takes the sign that this needs), an asymmetric one spreads from its minimum to its maximum.

    With a search, ``search`` shares of that range are tried; each candidate is rounded, its scale
    refitted by least squares to the integers found, and the one that leaves the smallest squared
    error is kept (as llama.cpp fits its k-quants).

    Args:
        blocks: float32 [R, block_size].
        layout: bits and symmetry.
        search: candidates; 0 for none.

    Returns:
        scales float32 [R], numbers of 16 bits but for those beyond them; zero points uint8 [R].
    """
    full, zeros = _full_range(blocks, layout)
    if not search:
        return full, zeros.astype(np.uint8)
    best, scales = _gain(blocks, round_blocks(blocks, full, zeros, layout), zeros)
    # both ends of a range move by the same share, so that its zero point stays
    for share in np.linspace(NARROWEST, WIDEST, search, dtype=np.float32):
        gain, refitted = _gain(blocks, round_blocks(blocks, full * share, zeros, layout), zeros)
        better = gain > best
        best[better] = gain[better]
        scales[better] = refitted[better]
    return _storable(scales), zeros.astype(np.uint8)


def round_blocks(blocks: Array, scales: Array, zeros: Array, layout: BlockFormat) -> Array:
    """Integers as float32, of the shape of ``blocks`` [R, G], for scales and zero points [R]."""
    integers = blocks / scales[:, None]
    np.rint(integers, out=integers)
    integers += zeros[:, None]
    return np.clip(integers, 0, layout.largest, out=integers)


def refit(blocks: Array, integers: Array, scales: Array, zeros: Array) -> Array:
    """Least-squares scales [R] for given integers; ``scales`` where all integers mean zero."""
    steps = integers - zeros[:, None]
    norms = np.einsum("ij,ij->i", steps, steps)
    products = np.einsum("ij,ij->i", steps, blocks)
    return _storable(np.divide(products, norms, out=scales.copy(), where=norms > 0))


def _full_range(blocks: Array, layout: BlockFormat) -> tuple[Array, Array]:
    low, high = blocks.min(axis=1), blocks.max(axis=1)
    if layout.symmetric:
        extreme = np.where(-low > high, low, high)
        zeros = np.full(len(blocks), layout.middle, np.float32)
        return _storable(extreme / np.float32(-layout.middle)), zeros
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    scales = _storable((high - low) / np.float32(layout.largest))
    return scales, np.clip(np.rint(-low / scales), 0, layout.largest)


def _gain(blocks: Array, integers: Array, zeros: Array) -> tuple[Array, Array]:
    """How much squared error the least-squares scale takes away, and that scale, both [R].

    With steps q the error is |w|^2 - (w.q)^2 / |q|^2, so that the last term is to be large.
    """
    steps = integers - zeros[:, None]
    norms = np.maximum(np.einsum("ij,ij->i", steps, steps), np.float32(1))
    products = np.einsum("ij,ij->i", steps, blocks)
    return products * products / norms, products / norms


def _storable(scales: Array) -> Array:
    """Away from 0, and rounded to 16 bits where those keep 11 binary digits."""
    limits = np.finfo(np.float16)
    least = limits.smallest_normal
    scales = np.where(np.abs(scales) < SMALLEST_SCALE, least, scales).astype(np.float32)
    fits = (np.abs(scales) >= least) & (np.abs(scales) <= limits.max)
    scales[fits] = scales[fits].astype(np.float16)
    return scales
