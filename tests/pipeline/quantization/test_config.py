"""Parameters: the shipped ones are valid, wrong ones are refused with what is allowed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from pipeline.config import Params
from pipeline.core.errors import ConfigError
from pipeline.core.strict import parse_strictly
from pipeline.params import compose_params
from pipeline.quantization.targets import TARGETS


@cache
def shipped() -> Params:
    params: Params = parse_strictly(compose_params([]), Params)
    return params


def test_shipped_parameters_run_everywhere() -> None:
    """The default target is right on AVX2 processors too."""
    int8 = shipped().precision.int8
    assert TARGETS[int8.target].weight_limit == 64
    # Integer Convs cost most of what is heard; products are where the time goes.
    assert set(int8.op_types) == {"MatMul", "Gemm"}
    assert "*istft*" in int8.exclude_names


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("target", "cpu-sse2", "expected one of cpu-avx2, cpu-vnni, tensorrt"),
        ("calibrator", "median", "expected one of minmax, percentile, mse"),
        ("op_types", ["Softmax"], "expected one of MatMul, Gemm, Conv"),
        ("percentile", 12.0, "more than 50"),
    ],
)
def test_int8_refusals(field: str, value: Any, message: str) -> None:
    """Each names the field, what was found and what is allowed."""
    with pytest.raises(ConfigError, match=message) as caught:
        replace(shipped().precision.int8, **{field: value})
    assert str(caught.value).startswith(field)


@pytest.mark.parametrize(
    ("field", "value"), [("max_range", 1e6), ("max_range", 0.0), ("max_reduction_depth", 0)]
)
def test_fp16_refusals(field: str, value: Any) -> None:
    """Ranges that FP16 has not, depths that nothing meets."""
    with pytest.raises(ConfigError, match=field):
        replace(shipped().precision.fp16, **{field: value})


@pytest.mark.parametrize("bins", [0, 500, 1000, 256])
def test_bins_are_a_power_of_two(bins: int) -> None:
    """Merging pairs of bins needs it."""
    with pytest.raises(ConfigError, match="histogram_bins"):
        replace(shipped().calibration, histogram_bins=bins)


@pytest.mark.parametrize(
    "fields", [{"samples": 0}, {"max_new_tokens": 0}, {"min_new_tokens": 5, "max_new_tokens": 4}]
)
def test_recording_refusals(fields: dict[str, Any]) -> None:
    """Nothing to speak, or ends before it may."""
    with pytest.raises(ConfigError):
        replace(shipped().calibration.recording, **fields)
