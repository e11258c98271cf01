"""The proof of integer execution."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import QuantizationError
from pipeline.quantization.fused import check_fused, optimized_operators
from pipeline.quantization.targets import TARGETS


def test_operators_of_the_float_graph(gpt_path: Path) -> None:
    """An FP32 graph shows float operators, fused ones included."""
    operators = optimized_operators(gpt_path)
    assert operators["MatMul"] == 9
    assert operators["GroupQueryAttention"] == 2
    assert "MatMulIntegerToFloat" not in operators


def test_a_node_that_runs_in_float_is_an_error() -> None:
    """A pattern that no longer matches must not pass in silence."""
    with pytest.raises(QuantizationError, match=r"found 8 MatMulIntegerToFloat.*expected 9"):
        check_fused(
            "gpt", {"MatMul": 9}, {"MatMulIntegerToFloat": 8, "MatMul": 1}, TARGETS["cpu-avx2"]
        )
    check_fused("gpt", {"MatMul": 9}, {"MatMul": 9}, TARGETS["tensorrt"])


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """The message holds the path."""
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a graph")
    with pytest.raises(QuantizationError, match=r"broken\.onnx"):
        optimized_operators(path)
