"""Noise, outliers and heat maps on graphs small enough to know the answer."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.quantization.calibration.statistics import collect
from pipeline.quantization.config import Int8Config
from pipeline.quantization.int8.graph import quantize_graph
from pipeline.search.space import LayerInfo
from pipeline.sensitivity.heatmap import Heat, draw_heat, grid
from pipeline.sensitivity.noise import CEILING_DB, Power, layer_noise
from pipeline.sensitivity.outliers import phase_ranges, shared

CONFIG = Int8Config("cpu-avx2", "minmax", 99.99, ["MatMul"], [], False, True)


def two_layers(path: Path) -> Path:
    """Two MatMuls, the second of which reads one channel that is a hundred times the others."""
    random = np.random.default_rng(0)
    first = random.standard_normal((16, 16)).astype(np.float32)
    first[:, 3] *= 100
    second = random.standard_normal((16, 8)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["hidden", "a"], ["middle"], "layers.0.first/MatMul"),
            helper.make_node("MatMul", ["middle", "b"], ["logits"], "layers.0.second/MatMul"),
        ],
        "g",
        [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [1, "t", 16])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "t", 8])],
        [numpy_helper.from_array(first, "a"), numpy_helper.from_array(second, "b")],
    )
    opsets = [helper.make_opsetid("", 23)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=11), path)
    return path


def feeds(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {"hidden": random.standard_normal((1, 9, 16)).astype(np.float32)}


def test_noise_of_each_layer(tmp_path: Path) -> None:
    """An outlier channel spoils the activation of the layer that reads it, not its weights."""
    path = two_layers(tmp_path / "a.onnx")
    batches = [feeds(seed) for seed in range(3)]
    statistics = collect(path, "text_head", batches, 1024)
    quantize_graph(path, "text_head", statistics, CONFIG, tmp_path / "b.onnx")
    found = layer_noise("text_head", path, tmp_path / "b.onnx", statistics, CONFIG, batches)
    first, second = found
    assert (first.layer, second.layer) == ("layers.0.first/MatMul", "layers.0.second/MatMul")
    # one 8-bit step of a uniform range is some 40 dB
    assert 35 < first.activations["all"].sqnr_db < 55
    assert first.alone is not None and second.alone is not None
    assert abs(first.alone.sqnr_db - first.accumulated.sqnr_db) < 1
    assert second.accumulated.sqnr_db < second.alone.sqnr_db
    assert second.weight.sqnr_db > 30
    # a finer weight grid leaves less noise in weights, none other in activations
    finer = replace(CONFIG, target="cpu-vnni")
    again = layer_noise("text_head", path, tmp_path / "b.onnx", statistics, finer, batches)
    assert again[0].weight.sqnr_db > first.weight.sqnr_db + 4
    assert again[0].activations["all"].sqnr_db == first.activations["all"].sqnr_db


def test_outlier_channels(tmp_path: Path) -> None:
    """Channel 3 of what lies between."""
    path = two_layers(tmp_path / "a.onnx")
    statistics = collect(path, "text_head", [feeds(0)], 1024)
    reader = LayerInfo("text_head", "layers.0.second/MatMul", "MatMul", 128, "middle")
    ranges = {entry.tensor: entry for entry in phase_ranges({"text_head": statistics}, [reader])}
    assert ranges["middle"].channels == (3,)
    assert ranges["middle"].readers == ("layers.0.second/MatMul",)
    assert ranges["middle"].ratio > 30
    assert ranges["hidden"].channels == ()
    assert shared(list(ranges.values())) == {}


def test_power_of_nothing_and_of_the_same() -> None:
    """No signal is no number; no noise is the ceiling."""
    power = Power()
    assert math.isnan(power.sqnr_db)
    power.add(np.ones(4), np.ones(4))
    assert power.sqnr_db == CEILING_DB


def test_grid_of_layers_and_projections(tmp_path: Path) -> None:
    """Blocks in rows, projections in columns; what is in no block is left out."""
    values = {
        "layers.0.self_attn.qkv_proj/MatMul": 1.0,
        "layers.0.mlp.down_proj/MatMul": 2.0,
        "layers.1.mlp.down_proj/MatMul": 3.0,
        "head_code/MatMul": 9.0,
        "decoder.conv_in.0/Conv": 9.0,
    }
    found, columns = grid(values)
    assert columns == ["qkv_proj", "down_proj"]
    np.testing.assert_array_equal(found, [[1.0, 2.0], [np.nan, 3.0]])
    draw_heat(tmp_path / "heat.png", "title", [Heat("a", values, log=True), Heat("b", {})])
    assert (tmp_path / "heat.png").read_bytes().startswith(b"\x89PNG")
