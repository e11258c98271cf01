from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from chattts_onnx import Bundle, open_bundle
from chattts_onnx.format.manifest import Manifest, ModelInfo
from pipeline.config import Params
from pipeline.core.errors import QuantizationError
from pipeline.graphs.files import load_graph
from pipeline.graphs.probe import Feeds
from pipeline.quantization.calibration.recorder import record
from pipeline.quantization.calibration.recording import Recording, graph_feeds
from pipeline.quantization.fp16.cuda_bundles import (
    attention_bundle,
    float_biases,
    half_attention,
    half_bundle,
)
from pipeline.quantization.kv_cache import CacheConfig, quantize_cache
from pipeline.stages import quantize
from tests.pipeline.quantization.cuda_kernels import without_kernel
from tests.pipeline.stages.workspaces import smoke_params

FLOAT, FLOAT16, UINT8 = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.UINT8,
)


def float_cache(params: Params) -> Params:
    """With float keys and values in ``w8``."""
    changed = replace(params.precision.w8, cache=CacheConfig(None))
    return replace(params, precision=replace(params.precision, w8=changed))


@pytest.fixture(scope="module")
def workspace(make_workspace: Callable[[str], Path]) -> Path:
    folder = make_workspace("cuda_bundles")
    quantize.run(float_cache(smoke_params()), folder, "w8")
    return folder


@pytest.fixture(scope="module")
def recordings(workspace: Path) -> list[Recording]:
    config = smoke_params().precision.fp16.recording
    return list(record(workspace / "bundles" / "fp32", workspace, config, seed=1))


def forced(bundle: Bundle, recording: Recording) -> tuple[np.ndarray, np.ndarray]:
    ids = np.repeat(recording.text_ids[None, :, None], bundle.model.num_vq, axis=2)
    mask = np.ones(ids.shape[:2], dtype=np.int64)
    return bundle.forced(ids, mask, recording.codes[None], recording.speaker[None])


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float((first * second).sum() / (np.linalg.norm(first) * np.linalg.norm(second) + 1e-30))


def test_only_attention_becomes_half(
    workspace: Path, recordings: list[Recording], tmp_path: Path
) -> None:
    source = workspace / "bundles" / "fp32"
    made = attention_bundle(source, tmp_path / "fp32_cuda", "fp32_cuda")
    assert (made.variant, made.model.kv_dtype) == ("fp32_cuda", "float16")
    graph = onnx.load(tmp_path / "fp32_cuda" / "gpt.onnx", load_external_data=False).graph
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer}
    multiplied = [n.input[1] for n in graph.node if n.op_type == "MatMul"]
    assert multiplied and {weights[name] for name in multiplied} == {FLOAT}
    attention = [n for n in graph.node if n.op_type == "GroupQueryAttention"]
    assert {weights[name] for n in attention for name in n.input[7:9]} == {FLOAT16}
    for node in attention:
        producer = next(n for n in graph.node if node.input[0] in n.output)
        assert producer.op_type == "Cast"
    assert without_kernel(tmp_path / "fp32_cuda") == []
    assert {name.split("/")[0] for name in without_kernel(source)} == {"gpt"}
    exact, half = open_bundle(source, threads=1), open_bundle(tmp_path / "fp32_cuda", threads=1)
    for ours, theirs in zip(forced(half, recordings[0]), forced(exact, recordings[0]), strict=True):
        assert ours.dtype == np.float32
        assert not np.array_equal(ours, theirs)
        assert cosine(ours, theirs) > 0.99999


def test_weights_as_integers_with_half_activations(
    workspace: Path, recordings: list[Recording], tmp_path: Path
) -> None:
    def batches(name: str, model: ModelInfo) -> Iterable[Feeds]:
        return [feeds for r in recordings for feeds in graph_feeds(name, model, r)]

    source = workspace / "bundles" / "w8"
    config = smoke_params().precision.fp16
    half_bundle(source, tmp_path / "w8_fp16", "w8_fp16", config, batches)
    assert Manifest.load(tmp_path / "w8_fp16").model.kv_dtype == "float16"
    graph = onnx.load(tmp_path / "w8_fp16" / "gpt.onnx", load_external_data=False).graph
    weights = {tensor.name: tensor.data_type for tensor in graph.initializer}
    layers = [n for n in graph.node if n.op_type == "MatMulNBits"]
    assert layers and not [n for n in graph.node if n.op_type == "MatMul"]
    assert {(weights[n.input[1]], weights[n.input[2]]) for n in layers} == {(UINT8, FLOAT16)}
    assert without_kernel(tmp_path / "w8_fp16") == []
    quantized, half = open_bundle(source, threads=1), open_bundle(tmp_path / "w8_fp16", threads=1)
    pairs = zip(forced(half, recordings[0]), forced(quantized, recordings[0]), strict=True)
    for ours, theirs in pairs:
        assert cosine(ours, theirs) > 0.999


def test_a_graph_without_attention_is_refused(workspace: Path, tmp_path: Path) -> None:
    vocos = workspace / "bundles" / "fp32" / "vocos.onnx"
    for path in (vocos, vocos.with_name("vocos.onnx.data")):
        shutil.copy(path, tmp_path)
    with pytest.raises(QuantizationError, match="GroupQueryAttention"):
        half_attention(tmp_path / "vocos.onnx", tmp_path / "out.onnx")


def test_int8_keys_and_values_are_refused(
    workspace: Path, recordings: list[Recording], tmp_path: Path
) -> None:
    source = tmp_path / "w8"
    shutil.copytree(workspace / "bundles" / "w8", source)
    model = load_graph(source / "gpt.onnx")
    scales = np.ones((2, 2, 2, 32), np.float32)
    quantize_cache(model.graph, scales)
    ir.save(model, source / "small.onnx", external_data="small.data")
    with pytest.raises(QuantizationError, match=r"cache\.bits=null"):
        half_attention(source / "small.onnx", tmp_path / "half.onnx")


def quantized_convolution(zero_points: bool) -> onnx.ModelProto:
    """A Conv whose weight is INT8 and whose bias is INT32, each with a scale for every channel."""
    random = np.random.default_rng(0)
    constants: dict[str, np.ndarray] = {
        "w": random.integers(-127, 128, (4, 3, 3), dtype=np.int8),
        "w_scale": random.uniform(0.01, 0.02, 4).astype(np.float32),
        "b": random.integers(-9999, 9999, 4, dtype=np.int32),
        "b_scale": random.uniform(1e-4, 2e-4, 4).astype(np.float32),
        "w_zero": np.zeros(4, np.int8),
        "b_zero": np.zeros(4, np.int32),
    }

    def dequantize(name: str) -> onnx.NodeProto:
        inputs = [name, f"{name}_scale"] + [f"{name}_zero"] * zero_points
        return onnx.helper.make_node("DequantizeLinear", inputs, [f"{name}_float"], axis=0)

    kept = [name for name in constants if zero_points or not name.endswith("zero")]
    graph = onnx.helper.make_graph(
        [
            dequantize("w"),
            dequantize("b"),
            onnx.helper.make_node("Conv", ["x", "w_float", "b_float"], ["y"]),
        ],
        "convolution",
        [onnx.helper.make_tensor_value_info("x", FLOAT, [1, 3, 8])],
        [onnx.helper.make_tensor_value_info("y", FLOAT, [1, 4, 6])],
        [onnx.numpy_helper.from_array(constants[name], name) for name in kept],
    )
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10
    )


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"x": x})
    return y


@pytest.mark.parametrize("zero_points", [True, False])
def test_integer_biases_become_floats(zero_points: bool) -> None:
    before = quantized_convolution(zero_points)
    model = ir.from_proto(before)
    assert float_biases(model) == 1
    after = ir.to_proto(model)
    assert [node.op_type for node in after.graph.node] == ["DequantizeLinear", "Conv"]
    kept = {tensor.name: tensor.data_type for tensor in after.graph.initializer}
    assert onnx.TensorProto.INT32 not in kept.values() and kept["w"] == onnx.TensorProto.INT8
    x = np.random.default_rng(1).standard_normal((1, 3, 8)).astype(np.float32)
    np.testing.assert_allclose(run(after, x), run(before, x), rtol=1e-6, atol=1e-6)
    assert float_biases(model) == 0
