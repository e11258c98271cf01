"""GPTQ: what rounding one input's weights spoils, the weights of later inputs make up for.

Frantar et al. 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", arXiv:2210.17323.  Inputs are taken in their own order, since MatMulNBits blocks are
of neighbouring inputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import QuantizationError
from pipeline.quantization.weight_only.blocks import BlockFormat, BlockWeight, to_blocks
from pipeline.quantization.weight_only.scales import fit_scales

Array = NDArray[Any]

ATTEMPTS = 5
"""Each failed factorization is tried again with ten times the damping."""

DIRECT_INVERSE = 64
"""Triangular matrices up to this size are inverted by the general routine."""


def quantize(
    weight: Array, hessian: Array, layout: BlockFormat, search: int, damping: float
) -> BlockWeight:
    """Quantize ``weight`` [N, K] so that its outputs on the calibration inputs change least.

    Args:
        weight: float32 [N, K].
        hessian: sum of outer products of inputs, float32 [K, K].
        layout: bits, block size and symmetry.
        search: candidates a block's scale is chosen from, see :func:`fit_scales`.
        damping: share of the Hessian's mean diagonal added to its diagonal.

    Raises:
        QuantizationError: the Hessian is not finite or cannot be factorized.
    """
    outputs, inputs = weight.shape
    factor = inverse_factor(hessian, damping)
    # inputs first: a column of the paper is a contiguous row here
    rest = np.array(weight.T, np.float32, order="C")
    integers = np.empty((inputs, outputs), np.uint8)
    count, size = layout.blocks(inputs), layout.block_size
    scales = np.empty((count, outputs), np.float32)
    zeros = np.empty((count, outputs), np.uint8)
    for index in range(count):
        begin, end = index * size, min((index + 1) * size, inputs)
        scale, zero = fit_scales(
            to_blocks(np.ascontiguousarray(rest[begin:end].T), size), layout, search
        )
        scales[index], zeros[index] = scale, zero
        errors = _round_block(
            rest[begin:end], factor[begin:end, begin:end], (scale, zero), layout,
            integers[begin:end],
        )  # fmt: skip
        if end < inputs:
            rest[end:] -= factor[begin:end, end:].T @ errors
    return BlockWeight(
        layout,
        np.ascontiguousarray(integers.T),
        np.ascontiguousarray(scales.T),
        np.ascontiguousarray(zeros.T),
    )


def _round_block(
    weights: Array, factor: Array, grid: tuple[Array, Array], layout: BlockFormat, integers: Array
) -> Array:
    """Round the inputs of one block [G, N] in turn into ``integers``; return the scaled errors."""
    scale, zero = grid[0], grid[1].astype(np.float32)
    errors = np.empty_like(weights)
    for row in range(len(weights)):
        rounded = np.clip(np.rint(weights[row] / scale) + zero, 0, layout.largest)
        integers[row] = rounded
        errors[row] = (weights[row] - (rounded - zero) * scale) / factor[row, row]
        weights[row + 1 :] -= factor[row, row + 1 :, None] * errors[row]
    return errors


def inverse_factor(hessian: Array, damping: float) -> Array:
    """Upper triangular U with ``U.T @ U`` the inverse of the damped Hessian, float32 [K, K].

    Raises:
        QuantizationError: the Hessian is not finite or stays singular under heavy damping.
    """
    diagonal = np.diagonal(hessian)
    mean = float(diagonal.mean())
    if not np.isfinite(hessian).all():
        raise QuantizationError(
            "GPTQ: found a Hessian that is not finite, expected finite calibration activations; "
            "check the FP32 bundle"
        )
    # without any activation the identity makes GPTQ round to nearest
    unit = mean if mean > 0 else 1.0
    for attempt in range(ATTEMPTS):
        damped = hessian.astype(np.float32)
        np.fill_diagonal(damped, diagonal + unit * damping * 10.0**attempt)
        try:
            # reversed rows and columns turn the lower factor of numpy into an upper one
            upper = np.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1]
        except np.linalg.LinAlgError:
            continue
        return _inverse_of_upper(np.ascontiguousarray(upper))
    raise QuantizationError(
        f"GPTQ: found a Hessian of {len(hessian)} inputs that is singular even with damping "
        f"{damping * 10.0 ** (ATTEMPTS - 1):g}; record more samples or choose algorithm rtn"
    )


def _inverse_of_upper(upper: Array) -> Array:
    """Inverse of an upper triangular matrix, by halves: a fifth of the general inverse's time."""
    size = len(upper)
    if size <= DIRECT_INVERSE:
        small: Array = np.triu(np.linalg.inv(upper))
        return small
    half = size // 2
    result = np.zeros_like(upper)
    result[:half, :half] = first = _inverse_of_upper(upper[:half, :half])
    result[half:, half:] = second = _inverse_of_upper(upper[half:, half:])
    result[:half, half:] = -(first @ upper[:half, half:]) @ second
    return result
