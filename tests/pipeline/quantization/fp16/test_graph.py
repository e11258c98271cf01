"""FP16 graphs: what stays FP32 and why, the converter's faults, and the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from pipeline.core.errors import QuantizationError
from pipeline.quantization.config import Fp16Config, RecordingConfig
from pipeline.quantization.fp16.graph import convert_graph

CONFIG = Fp16Config(
    recording=RecordingConfig("unused.jsonl", 1, 0, 1),
    max_range=512.0,
    max_reduction_depth=16384,
    keep_op_types=["Exp", "Div", "ReduceL2"],
    keep_names=["*istft*"],
)

Feeds = dict[str, Any]


def run(path: Path, feeds: Feeds, outputs: list[str]) -> list[Any]:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    return list(session.run(outputs, feeds))


def cosine(a: Any, b: Any) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


def test_gpt_matches_and_is_half_as_large(
    tmp_path: Path, gpt_path: Path, make_gpt_feeds: Callable[..., Feeds]
) -> None:
    """Public inputs and outputs stay FP32, the cache is FP16, the bytes are halved."""
    target = tmp_path / "gpt.onnx"
    convert_graph(gpt_path, [make_gpt_feeds(0)], CONFIG, target)
    model = onnx.load(target)
    public = (*model.graph.input, *model.graph.output)
    kinds = {value.name: value.type.tensor_type.elem_type for value in public}
    float32, float16 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
    assert kinds["speaker"] == kinds["hidden"] == kinds["logits"] == float32
    assert kinds["past_key_values.0.key"] == kinds["present.1.value"] == float16
    data = [gpt_path.with_name("gpt.onnx.data"), tmp_path / "gpt.onnx.data"]
    assert data[1].stat().st_size <= 0.51 * data[0].stat().st_size
    names = ["hidden", "logits"]
    found = run(target, make_gpt_feeds(5, "float16"), names)
    for a, b in zip(found, run(gpt_path, make_gpt_feeds(5), names), strict=True):
        assert a.dtype == np.float32
        assert cosine(a, b) > 0.9999


def test_range_rule_keeps_what_overflows(
    tmp_path: Path, make_gpt: Callable[..., Path], make_gpt_feeds: Callable[..., Feeds]
) -> None:
    """A residual stream beyond FP16's range stays FP32 from end to end, and right."""
    (tmp_path / "fp32").mkdir()
    source = make_gpt(tmp_path / "fp32" / "gpt.onnx", residual_gain=1e5)
    result = convert_graph(source, [make_gpt_feeds(0)], CONFIG, tmp_path / "gpt.onnx")
    reasons = {entry.node: entry for entry in result.kept}
    assert reasons["layers.0.post_norm"].reason == "range"
    assert (reasons["layers.0.post_norm"].value or 0.0) > 65504
    assert reasons["last_residual"].reason == "range"
    found = run(tmp_path / "gpt.onnx", make_gpt_feeds(3, "float16"), ["hidden"])[0]
    wanted = run(source, make_gpt_feeds(3), ["hidden"])[0]
    assert np.isfinite(found).all()
    assert cosine(found, wanted) > 0.9999


def test_weights_beyond_fp16_stay(
    tmp_path: Path, make_gpt: Callable[..., Path], make_gpt_feeds: Callable[..., Feeds]
) -> None:
    """A table that FP16 can't hold keeps its bytes, whatever range is allowed."""
    (tmp_path / "fp32").mkdir()
    source = make_gpt(tmp_path / "fp32" / "gpt.onnx", residual_gain=1e7)
    config = replace(CONFIG, max_range=65504.0)
    result = convert_graph(source, [make_gpt_feeds(0)], config, tmp_path / "gpt.onnx")
    assert {"emb_text", "emb_code"} <= {entry.node for entry in result.kept}
    weights = {w.name: w.data_type for w in onnx.load(tmp_path / "gpt.onnx").graph.initializer}
    assert weights["embed.emb_text.weight"] == onnx.TensorProto.FLOAT
    assert weights["layers.0.qkv_proj.weight"] == onnx.TensorProto.FLOAT16


def test_vocos_rules(tmp_path: Path, vocos_path: Path, make_mel: Callable[..., Feeds]) -> None:
    """Operators and names are kept for their own reasons; the result is close."""
    result = convert_graph(vocos_path, [make_mel(0)], CONFIG, tmp_path / "vocos.onnx")
    kept = {entry.node: entry.reason for entry in result.kept}
    assert kept == {"exp": "operator", "transform": "name"}
    weights = {w.name: w.data_type for w in onnx.load(tmp_path / "vocos.onnx").graph.initializer}
    assert weights["istft_basis"] == onnx.TensorProto.FLOAT
    assert weights["pwconv1.weight"] == onnx.TensorProto.FLOAT16
    found = run(tmp_path / "vocos.onnx", make_mel(4), ["waveform"])[0]
    assert cosine(found, run(vocos_path, make_mel(4), ["waveform"])[0]) > 0.999


def test_reduction_depth_rule(
    tmp_path: Path, gpt_path: Path, make_gpt_feeds: Callable[..., Feeds]
) -> None:
    """Only the projections that sum the 96 inner channels exceed a limit of 64."""
    config = replace(CONFIG, max_reduction_depth=64)
    result = convert_graph(gpt_path, [make_gpt_feeds(0)], config, tmp_path / "gpt.onnx")
    deep = [entry for entry in result.kept if entry.reason == "reduction depth"]
    assert [entry.op_type for entry in deep] == ["MatMul", "MatMul"]
    assert {entry.value for entry in deep} == {96}


def test_constants_that_vanish_stay(
    tmp_path: Path, gpt_path: Path, make_gpt_feeds: Callable[..., Feeds]
) -> None:
    """1e-12 is zero in FP16: the node that guards a division with it stays FP32."""
    result = convert_graph(gpt_path, [make_gpt_feeds(0)], CONFIG, tmp_path / "gpt.onnx")
    guard = [entry for entry in result.kept if entry.reason == "constant"]
    assert [(entry.op_type, entry.detail) for entry in guard] == [("Max", "tiny")]
    feeds = make_gpt_feeds(0, "float16")
    feeds["speaker"][:] = 0
    assert np.isfinite(run(tmp_path / "gpt.onnx", feeds, ["hidden"])[0]).all()


def test_graph_is_clean(
    tmp_path: Path, gpt_path: Path, make_gpt_feeds: Callable[..., Feeds]
) -> None:
    """Unique names, no dangling value, no round trip of casts, no dead byte."""
    target = tmp_path / "gpt.onnx"
    convert_graph(gpt_path, [make_gpt_feeds(0)], CONFIG, target)
    model = onnx.load(target, load_external_data=False)
    names = Counter(node.name for node in model.graph.node)
    assert max(names.values()) == 1
    produced = {name: node for node in model.graph.node for name in node.output if name}
    known = {v.name for v in (*model.graph.input, *model.graph.initializer)} | set(produced)
    read = {name for node in model.graph.node for name in node.input if name}
    assert read <= known
    assert {w.name for w in model.graph.initializer} <= read
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in produced:
            assert produced[node.input[0]].op_type != "Cast"
    external = [
        {entry.key: entry.value for entry in w.external_data} for w in model.graph.initializer
    ]
    stored = sum(int(entry["length"]) for entry in external if entry)
    assert (tmp_path / "gpt.onnx.data").stat().st_size == stored


def test_attention_cannot_stay(
    tmp_path: Path, gpt_path: Path, make_gpt_feeds: Callable[..., Feeds]
) -> None:
    """A rule that would split the cache's type from the attention's is refused."""
    config = replace(CONFIG, keep_op_types=["GroupQueryAttention"])
    with pytest.raises(QuantizationError, match=r"layers\.0\.attention"):
        convert_graph(gpt_path, [make_gpt_feeds(0)], config, tmp_path / "gpt.onnx")


def test_report_of_errors(
    tmp_path: Path, gpt_path: Path, make_gpt_feeds: Callable[..., Feeds]
) -> None:
    """The result says how far FP16 is from FP32 on the reference run, output by output."""
    result = convert_graph(gpt_path, [make_gpt_feeds(0)], CONFIG, tmp_path / "gpt.onnx")
    assert set(result.max_error) == {"hidden", "logits"}
    assert 0 < result.max_error["hidden"] < 0.05
