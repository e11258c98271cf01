"""INT8 graphs: what is quantized, what runs in integers, and how close the results are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from pipeline.core.errors import QuantizationError
from pipeline.graphs.edit import add_constant
from pipeline.quantization.calibration.statistics import GraphStatistics, collect
from pipeline.quantization.config import Int8Config
from pipeline.quantization.int8.graph import quantize_graph

CONFIG = Int8Config(
    target="cpu-avx2",
    calibrator="minmax",
    percentile=99.99,
    op_types=["MatMul", "Gemm", "Conv"],
    exclude_names=["*istft*"],
    embedding_tables=True,
    require_fused=True,
)

Feeds = dict[str, Any]


def run(path: Path, feeds: Feeds, outputs: list[str]) -> list[Any]:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    return list(session.run(outputs, feeds))


def cosine(a: Any, b: Any) -> float:
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


@pytest.fixture
def gpt_statistics(gpt_path: Path, make_gpt_feeds: Callable[..., Feeds]) -> GraphStatistics:
    return collect(gpt_path, "gpt", [make_gpt_feeds(seed) for seed in range(3)], 1024)


@pytest.fixture
def vocos_statistics(vocos_path: Path, make_mel: Callable[..., Feeds]) -> GraphStatistics:
    return collect(vocos_path, "vocos", [make_mel(seed) for seed in range(3)], 1024)


@pytest.mark.parametrize("target", ["cpu-avx2", "cpu-vnni"])
@pytest.mark.parametrize("calibrator", ["minmax", "percentile", "mse"])
def test_gpt_runs_in_integers_and_stays_close(
    tmp_path: Path,
    gpt_path: Path,
    gpt_statistics: GraphStatistics,
    make_gpt_feeds: Callable[..., Feeds],
    target: str,
    calibrator: str,
) -> None:
    """All projections and heads become MatMulIntegerToFloat, on prompts not calibrated on too."""
    config = replace(CONFIG, target=target, calibrator=calibrator)
    result = quantize_graph(gpt_path, "gpt", gpt_statistics, config, tmp_path / "gpt.onnx")
    assert result.quantized_counts() == {"MatMul": 9}
    assert result.operators["MatMulIntegerToFloat"] == 9
    assert result.operators.get("MatMul", 0) == 0
    assert result.embeddings == ["emb_text", "emb_code"]
    feeds = make_gpt_feeds(7)
    names = ["hidden", "logits", "present.1.value"]
    for found, wanted in zip(
        run(tmp_path / "gpt.onnx", feeds, names), run(gpt_path, feeds, names), strict=True
    ):
        assert cosine(found, wanted) > 0.99


def test_one_quantize_for_all_readers(
    tmp_path: Path, gpt_path: Path, gpt_statistics: GraphStatistics
) -> None:
    """Each activation is quantized once; weights are INT8 with a scale a column."""
    quantize_graph(gpt_path, "gpt", gpt_statistics, CONFIG, tmp_path / "gpt.onnx")
    model = onnx.load(tmp_path / "gpt.onnx")
    assert sum(node.op_type == "QuantizeLinear" for node in model.graph.node) == 9
    weights = {w.name: w for w in model.graph.initializer}
    assert weights["layers.0.qkv_proj.weight/quantized"].data_type == onnx.TensorProto.INT8
    assert list(weights["layers.0.qkv_proj.weight/scale"].dims) == [192]
    assert "layers.0.qkv_proj.weight" not in weights
    onnx.checker.check_model(tmp_path / "gpt.onnx")


def test_vocos_convolutions_run_in_integers(
    tmp_path: Path,
    vocos_path: Path,
    vocos_statistics: GraphStatistics,
    make_mel: Callable[..., Feeds],
) -> None:
    """Conv (depthwise too), MatMul and Gemm; the inverse transform is excluded by its weight."""
    result = quantize_graph(vocos_path, "vocos", vocos_statistics, CONFIG, tmp_path / "vocos.onnx")
    assert result.quantized_counts() == {"Conv": 2, "Gemm": 1, "MatMul": 2}
    assert result.operators["QLinearConv"] == 2
    assert result.operators["QGemm"] == 1
    assert [entry.node for entry in result.excluded] == ["transform"]
    assert "istft" in result.excluded[0].reason
    feeds = make_mel(5)
    found = run(tmp_path / "vocos.onnx", feeds, ["waveform"])[0]
    assert cosine(found, run(vocos_path, feeds, ["waveform"])[0]) > 0.98


def test_tensorrt_form(tmp_path: Path, vocos_path: Path, vocos_statistics: GraphStatistics) -> None:
    """Symmetric INT8 everywhere, float biases, no quantized outputs of Conv."""
    config = replace(CONFIG, target="tensorrt")
    quantize_graph(vocos_path, "vocos", vocos_statistics, config, tmp_path / "vocos.onnx")
    model = onnx.load(tmp_path / "vocos.onnx")
    values = {w.name: onnx.numpy_helper.to_array(w) for w in model.graph.initializer}
    points = [value for name, value in values.items() if name.endswith("/zero_point")]
    assert points
    assert all(point.dtype == np.int8 and not point.any() for point in points)
    assert "embed.bias" in values


def test_shared_convolution_output_of_the_graph(tmp_path: Path) -> None:
    """A Conv that writes a graph output keeps the output's name and type."""
    from onnx import TensorProto, helper, numpy_helper

    weight = np.random.default_rng(0).standard_normal((8, 4, 3)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], "conv", pads=[1, 1])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, "t"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, "t"])],
        [numpy_helper.from_array(weight, "w")],
    )
    opsets = [helper.make_opsetid("", 23)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=11), tmp_path / "a.onnx")
    feeds = {"x": np.random.default_rng(1).standard_normal((1, 4, 9)).astype(np.float32)}
    statistics = collect(tmp_path / "a.onnx", "decoder", [feeds], 1024)
    quantize_graph(tmp_path / "a.onnx", "decoder", statistics, CONFIG, tmp_path / "b.onnx")
    found = run(tmp_path / "b.onnx", feeds, ["y"])[0]
    assert cosine(found, run(tmp_path / "a.onnx", feeds, ["y"])[0]) > 0.999


def test_excluded_by_node_name_and_by_op_type(
    tmp_path: Path, vocos_path: Path, vocos_statistics: GraphStatistics
) -> None:
    """Both ways leave nodes float and say why."""
    config = replace(CONFIG, op_types=["MatMul"], exclude_names=["pwconv1", "*istft*"])
    result = quantize_graph(vocos_path, "vocos", vocos_statistics, config, tmp_path / "v.onnx")
    reasons = {entry.node: entry.reason for entry in result.excluded}
    assert set(reasons) == {"embed", "dwconv", "pwconv1", "head", "transform"}
    assert "op_types" in reasons["embed"]
    assert "pwconv1" in reasons["pwconv1"]
    assert result.quantized == {"pwconv2": "MatMul"}


def test_missing_statistics_are_named(tmp_path: Path, gpt_path: Path) -> None:
    """A calibration of another graph is refused, naming the tensor."""
    with pytest.raises(QuantizationError, match="found no calibration of tensor"):
        quantize_graph(gpt_path, "gpt", GraphStatistics(), CONFIG, tmp_path / "gpt.onnx")


def test_same_bytes_twice(tmp_path: Path, gpt_path: Path, gpt_statistics: GraphStatistics) -> None:
    """The stage's output depends on its inputs only, as DVC takes for granted."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        target = tmp_path / name / "gpt.onnx"
        quantize_graph(gpt_path, "gpt", gpt_statistics, CONFIG, target)
    for file in ("gpt.onnx", "gpt.onnx.data"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_a_constant_keeps_its_shape(shape: tuple[int, ...]) -> None:
    graph = ir.Graph([], [], nodes=[], opset_imports={"": 23})
    value = add_constant(graph, "scale", np.ones(shape, np.float32))
    assert value.const_value is not None
    assert value.const_value.numpy().shape == tuple(value.const_value.shape.numpy()) == shape
