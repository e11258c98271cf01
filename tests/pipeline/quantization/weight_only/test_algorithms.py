"""Round to nearest, half-quadratic and GPTQ: what each promises, on weights of any kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import QuantizationError
from pipeline.quantization.weight_only import gptq, rtn
from pipeline.quantization.weight_only.blocks import BlockFormat, BlockWeight
from pipeline.quantization.weight_only.scales import fit_scales, round_blocks

FORMATS = [BlockFormat(bits, 16, symmetric) for bits in (4, 8) for symmetric in (True, False)]


def gaussian(outputs: int = 24, inputs: int = 96, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    return random.standard_normal((outputs, inputs)).astype(np.float32)


def error(weight: Any, made: BlockWeight) -> float:
    return float(np.square(weight - made.dequantized()).sum())


@pytest.mark.parametrize("layout", FORMATS, ids=str)
@given(
    seed=st.integers(0, 2**16),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
    offset=st.sampled_from([-3.0, 0.0, 3.0]),
)
@settings(max_examples=25, deadline=None)
def test_rounding_stays_within_half_a_step(
    layout: BlockFormat, seed: int, scale: float, offset: float
) -> None:
    """Over a block's full range every weight is at most half a step from its integer.

    Two exceptions by construction: a symmetric block's extreme of the other sign is clipped by
    less than a step, and an asymmetric zero point is itself rounded.
    """
    weight = (gaussian(3, 40, seed) + np.float32(offset)) * np.float32(scale)
    made = rtn.quantize(weight, layout, 0)
    steps = np.abs(np.repeat(made.scales, 16, axis=1)[:, :40])
    assert (np.abs(weight - made.dequantized()) <= 1.001 * steps).all()
    inside = (made.integers > 0) & (made.integers < layout.largest)
    assert (np.abs(weight - made.dequantized())[inside] <= 0.501 * steps[inside]).all()


@pytest.mark.parametrize("layout", FORMATS, ids=str)
def test_zeros_stay_zero(layout: BlockFormat) -> None:
    weight = np.zeros((4, 40), np.float32)
    weight[0, :16] = 1
    made = rtn.quantize(weight, layout, 8)
    assert (made.dequantized()[weight == 0] == 0).all()
    assert np.abs(made.dequantized() - weight).max() < 2**-11
    assert (made.scales == made.scales.astype(np.float16)).all()
    assert np.isfinite(made.scales).all()


@pytest.mark.parametrize("layout", FORMATS, ids=str)
def test_a_search_lowers_the_error(layout: BlockFormat) -> None:
    """In every block: the full range is among the candidates, and refitting can only help."""
    weight = gaussian()
    weight[:, ::16] *= 4
    plain, searched = (rtn.quantize(weight, layout, search) for search in (0, 16))

    def by_block(made: BlockWeight) -> Any:
        return np.square(weight - made.dequantized()).reshape(-1, 16).sum(axis=1)

    assert (by_block(searched) <= by_block(plain) * 1.0001).all()
    assert error(weight, searched) < 0.97 * error(weight, plain)


def test_symmetric_blocks_use_all_sixteen_integers() -> None:
    blocks = np.linspace(-0.5, 1.0, 16, dtype=np.float32)[None]
    layout = BlockFormat(4, 16, True)
    scales, zeros = fit_scales(blocks, layout, 0)
    assert scales[0] == np.float32(-1 / 8)
    integers = round_blocks(blocks, scales, zeros, layout)
    assert integers.min() == 0
    assert ((integers - 8) * scales[:, None]).max() == 1.0


def inputs_of(kind: str, count: int = 400, width: int = 96, seed: int = 1) -> Any:
    random = np.random.default_rng(seed)
    x = random.standard_normal((count, width))
    if kind == "correlated":
        mixing = np.random.default_rng(7).standard_normal((width, width))
        x = x @ (mixing * np.exp(-np.arange(width) / 20)[:, None])
    return x.astype(np.float32)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_gptq_lowers_the_output_error_on_unseen_inputs(bits: int, symmetric: bool) -> None:
    """With correlated inputs by far, on inputs that it was not given."""
    weight, layout = gaussian(), BlockFormat(bits, 32, symmetric)
    x, unseen = (inputs_of("correlated", seed=seed) for seed in (1, 2))
    compensated = gptq.quantize(weight, x.T @ x, layout, 8, 0.01)
    rounded = rtn.quantize(weight, layout, 8)

    def output_error(made: BlockWeight) -> float:
        return float(np.square(unseen @ (weight - made.dequantized()).T).sum())

    assert output_error(compensated) < 0.5 * output_error(rounded)
    assert error(weight, compensated) > error(weight, rounded)


def test_gptq_without_correlation_rounds_to_nearest() -> None:
    """A diagonal Hessian leaves nothing to compensate with; so does one of no activation."""
    weight, layout = gaussian(), BlockFormat(4, 32, True)
    expected = rtn.quantize(weight, layout, 0)
    for hessian in (np.eye(96, dtype=np.float32), np.zeros((96, 96), np.float32)):
        made = gptq.quantize(weight, hessian, layout, 0, 0.01)
        assert (made.integers == expected.integers).all()
        assert (made.scales == expected.scales).all()


def test_gptq_with_a_partly_filled_last_block() -> None:
    weight = gaussian(inputs=88)
    x = inputs_of("correlated", width=88)
    made = gptq.quantize(weight, x.T @ x, BlockFormat(4, 32, False), 0, 0.01)
    assert made.scales.shape == (24, 3)
    assert np.square(x @ (weight - made.dequantized()).T).mean() < 0.1 * np.square(x).mean() * 88


def test_the_inverse_factor() -> None:
    """U.T U is the inverse of the damped Hessian; a singular one is damped until it has one."""
    x = inputs_of("correlated")
    hessian = x.T @ x
    factor = gptq.inverse_factor(hessian, 0.1)
    assert (factor == np.triu(factor)).all()
    damped = hessian + 0.1 * np.diagonal(hessian).mean() * np.eye(96)
    assert np.abs(factor.T @ factor @ damped - np.eye(96)).max() < 1e-2
    lonely = np.ones((8, 8), np.float32)
    assert np.isfinite(gptq.inverse_factor(lonely, 1e-9)).all()


def test_gptq_refuses_a_hessian_of_nan() -> None:
    hessian = np.full((96, 96), np.nan, np.float32)
    with pytest.raises(QuantizationError, match="not finite"):
        gptq.quantize(gaussian(), hessian, BlockFormat(4, 32, True), 0, 0.01)
