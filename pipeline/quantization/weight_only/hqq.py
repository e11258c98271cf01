"""Half-quadratic quantization: outliers may keep their error, without data.

HQQ (Badri & Shaji 2023, "Half-Quadratic Quantization of Large Machine Learning Models",
https://mobiusml.github.io/hqq_blog/) minimises ``|W - dequantized|_p`` with p < 1 by splitting off
an error term, which a shrinkage operator updates, from the rest, which has a closed form.  There
the zero points are real numbers; here they are integers, the only ones for which MatMulNBits has
fast kernels, and the scale is fitted as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.quantization.weight_only.blocks import BlockFormat, BlockWeight
from pipeline.quantization.weight_only.rtn import Fitted, by_chunks
from pipeline.quantization.weight_only.scales import fit_scales, refit, round_blocks

Array = NDArray[Any]

NORM = 0.7
START_BETA, BETA_GROWTH = 10.0, 1.01
ITERATIONS = 20


def quantize(weight: Array, layout: BlockFormat, search: int) -> BlockWeight:
    """Quantize ``weight`` [N, K], starting from the scales of :func:`fit_scales`."""

    def fit(blocks: Array) -> Fitted:
        scales, zeros = fit_scales(blocks, layout, search)
        return half_quadratic(blocks, scales, zeros.astype(np.float32), layout)

    return by_chunks(weight, layout, fit)


def half_quadratic(blocks: Array, scales: Array, zeros: Array, layout: BlockFormat) -> Fitted:
    """Integers, scales and zero points of the smallest p-norm of the error met on the way.

    Args:
        blocks: float32 [R, G].
        scales: where to start, [R].
        zeros: where to start, float32 [R].
        layout: bits and symmetry.
    """
    # the published constants suppose weights of about this size
    unit = np.float32(max(float(np.abs(blocks).mean()), 1e-30))
    beta = START_BETA
    best = np.full(len(blocks), np.inf, np.float32)
    kept: Fitted = (np.empty_like(blocks), scales.copy(), zeros.copy())
    for _ in range(ITERATIONS):
        integers = round_blocks(blocks, scales, zeros, layout)
        error = blocks - (integers - zeros[:, None]) * scales[:, None]
        norm = (np.abs(error) ** np.float32(NORM)).sum(axis=1)
        better = norm < best
        best[better] = norm[better]
        for target, found in zip(kept, (integers, scales, zeros), strict=True):
            target[better] = found[better]
        fitted = blocks - unit * _shrink(error / unit, beta)
        if not layout.symmetric:
            offsets = (integers - fitted / scales[:, None]).mean(axis=1)
            zeros = np.clip(np.rint(offsets), 0, layout.largest).astype(np.float32)
        scales = refit(fitted, integers, scales, zeros)
        beta *= BETA_GROWTH
    return kept


def _shrink(error: Array, beta: float) -> Array:
    """The generalised soft threshold of the p-norm: small errors vanish, large ones stay."""
    size = np.abs(error)
    threshold = np.maximum(size, np.float32(1e-8)) ** np.float32(NORM - 1) / np.float32(beta)
    result: Array = np.sign(error) * np.maximum(size - threshold, 0)
    return result
