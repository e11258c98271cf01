"""INT8 keys and values: ranges, the rewritten attention, and what it costs in fidelity."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from chattts_onnx.format.manifest import ModelInfo
from pipeline.core.errors import ConfigError, QuantizationError
from pipeline.graphs.files import load_graph, save_graph
from pipeline.quantization.kv_cache import (
    CacheConfig,
    cache_model,
    cache_scales,
    collect_magnitudes,
    load_magnitudes,
    quantize_cache,
    save_magnitudes,
)

MakeFeeds = Callable[..., dict[str, Any]]


def outputs(path: Path, feeds: dict[str, Any]) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def quantized(source: Path, destination: Path, scales: np.ndarray) -> Path:
    model = load_graph(source)
    quantize_cache(model.graph, scales)
    destination.parent.mkdir(exist_ok=True)
    save_graph(model, destination)
    return destination


def test_magnitudes_are_those_of_the_cache(
    gpt_path: Path, model_info: ModelInfo, make_gpt_feeds: MakeFeeds
) -> None:
    batches = [make_gpt_feeds(seed) for seed in range(3)]
    found = collect_magnitudes(gpt_path, model_info, batches)
    seen = [outputs(gpt_path, feeds)["present.1.value"][0] for feeds in batches]
    expected = np.abs(np.concatenate(seen, axis=1)).max(axis=1)
    assert found.shape == (2, 2, 2, 32)
    np.testing.assert_array_equal(found[1, 1], expected)


def test_int8_keys_and_values_stay_near_float_ones(
    gpt_path: Path, model_info: ModelInfo, make_gpt_feeds: MakeFeeds, tmp_path: Path
) -> None:
    seeds = range(4)
    scales = (
        collect_magnitudes(gpt_path, model_info, (make_gpt_feeds(seed) for seed in seeds)) / 127
    )
    path = quantized(gpt_path, tmp_path / "int8" / "gpt.onnx", scales)
    for seed in seeds:
        exact = outputs(gpt_path, make_gpt_feeds(seed))
        close = outputs(path, make_gpt_feeds(seed, kv_dtype="int8"))
        assert close["present.0.key"].dtype == np.int8
        back = close["present.0.key"] * scales[0, 0][None, :, None, :]
        # half a step of rounding, each channel by its own scale
        assert (np.abs(back - exact["present.0.key"]) <= scales[0, 0].max() * 0.51).all()
        a, b = exact["hidden"].ravel(), close["hidden"].ravel()
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999


def test_scales_that_are_too_small_do_harm(
    gpt_path: Path, model_info: ModelInfo, make_gpt_feeds: MakeFeeds, tmp_path: Path
) -> None:
    scales = collect_magnitudes(gpt_path, model_info, [make_gpt_feeds()]) / 127 / 20
    path = quantized(gpt_path, tmp_path / "int8" / "gpt.onnx", scales)
    a = outputs(gpt_path, make_gpt_feeds())["hidden"].ravel()
    b = outputs(path, make_gpt_feeds(kv_dtype="int8"))["hidden"].ravel()
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) < 0.999


def test_the_graph_says_int8_outside_and_has_a_scale_a_channel(
    gpt_path: Path, model_info: ModelInfo, make_gpt_feeds: MakeFeeds, tmp_path: Path
) -> None:
    scales = collect_magnitudes(gpt_path, model_info, [make_gpt_feeds()])
    scales[0, 0, 0, 0] = 0
    path = quantized(gpt_path, tmp_path / "int8" / "gpt.onnx", scales)
    graph = onnx.load(path).graph
    kinds = {v.type.tensor_type.elem_type for v in graph.input if "past" in v.name}
    kinds |= {v.type.tensor_type.elem_type for v in graph.output if "present" in v.name}
    assert kinds == {onnx.TensorProto.INT8}
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    assert stored["layers.0.key_cache.scale"].shape == (1, 2, 1, 32)
    assert stored["layers.0.key_cache.scale"][0, 0, 0, 0] == 1
    assert cache_model(model_info, CacheConfig(8)).kv_dtype == "int8"
    assert cache_model(model_info, CacheConfig()) is model_info


def test_what_does_not_fit_is_named(gpt_path: Path, tmp_path: Path) -> None:
    with pytest.raises(QuantizationError, match="scales for 3 layers"):
        quantize_cache(load_graph(gpt_path).graph, np.ones((3, 2, 2, 32), np.float32))
    with pytest.raises(QuantizationError, match="run the calibrate stage"):
        load_magnitudes(tmp_path)
    with pytest.raises(ConfigError, match=r"cache\.bits: found 4"):
        CacheConfig(4)
    with pytest.raises(ConfigError, match="headroom"):
        CacheConfig(8, headroom=0)


def test_scales_follow_from_magnitudes_and_headroom(tmp_path: Path) -> None:
    save_magnitudes(tmp_path, np.full((1, 2, 1, 4), 2.0, np.float32))
    magnitudes = load_magnitudes(tmp_path)
    scales = cache_scales(CacheConfig(8, headroom=1.5), magnitudes)
    np.testing.assert_allclose(scales, 2.0 * 1.5 / 127, rtol=1e-6)
    assert cache_scales(CacheConfig(None), magnitudes) is None
