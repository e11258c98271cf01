from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from pipeline.bundles import graph_info
from pipeline.core.errors import ExportError


def graph(tmp_path: Path, scale: list[int], declared: list[int]) -> Path:
    """x → QuantizeLinear → y, whose scale has the shape ``scale`` and is said to have another."""
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])],
            "quantize",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
            [helper.make_tensor_value_info("y", TensorProto.UINT8, [2, 3])],
            [
                helper.make_tensor("scale", TensorProto.FLOAT, scale, [0.5]),
                helper.make_tensor("zero", TensorProto.UINT8, scale, [0]),
            ],
            value_info=[helper.make_tensor_value_info("scale", TensorProto.FLOAT, declared)],
        ),
        opset_imports=[helper.make_opsetid("", 23)],
    )
    path = tmp_path / "graph.onnx"
    onnx.save(model, path)
    return path


def test_a_graph_is_described_by_its_own_words(tmp_path: Path) -> None:
    info = graph_info(graph(tmp_path, [], []))
    assert (info.file, info.data) == ("graph.onnx", None)
    assert [(t.name, t.dtype) for t in (*info.inputs, *info.outputs)] == [
        ("x", "float32"),
        ("y", "uint8"),
    ]


def test_a_graph_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"graph\.onnx: found shapes or types .*rank"):
        graph_info(graph(tmp_path, [1], []))
