from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from pipeline.benchmark.bandwidth import cache_bytes, step_bytes, step_parts
from pipeline.studies.profile import __main__ as profile
from pipeline.studies.profile import products
from tests.chattts_onnx import tiny_bundle


def test_cache_bytes_are_keys_and_values_of_every_layer() -> None:
    model = tiny_bundle.MODEL
    expected = 2 * tiny_bundle.LAYERS * tiny_bundle.KV_HEADS * tiny_bundle.HEAD_DIM * 4 * 7 * 3
    assert cache_bytes(model, 3, 7) == expected


def test_multiplications_are_those_of_the_graph(bundle_folder: Path) -> None:
    graph = bundle_folder / "gpt.onnx"
    counted = products.multiplications(graph)
    model = onnx.load(graph)
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "MatMul"]
    expected = sum(math.prod(shapes[node.input[1]]) for node in nodes)
    assert counted == {"float": expected}
    assert expected > 0


@pytest.mark.parametrize("kind", ["float", "int8", "w8b128", "w4b32"])
def test_every_kind_of_product_runs_from_the_cache(kind: str) -> None:
    assert products.cached_rate(kind, 2, 1) > 0


def test_the_parts_of_a_step_are_reported(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "CASES", ((1, 12), (2, 12)))
    monkeypatch.setattr(profile, "read_bandwidth", lambda threads: 1e9)
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "fp32").symlink_to(bundle_folder)
    report = tmp_path / "profile.json"
    command = ["--workspace", str(tmp_path), "--variants", "fp32", "--report", str(report)]
    assert profile.main([*command, "--steps", "4"]) == 0
    rows = json.loads(report.read_text(encoding="utf-8"))["rows"]
    for requests in (1, 2):
        own = [row for row in rows if row["requests"] == requests]
        parts = {row["part"]: row["value"] for row in own if row["metric"] == "step_ms"}
        assert {"whole", "graph", "host", "products", "attention", "others", "between"} == set(
            parts
        )
        assert parts["whole"] > parts["graph"] > 0
        assert parts["products"] > 0
        kernels = {r["operator"]: r["calls"] for r in own if r["metric"] == "kernel_ms"}
        assert kernels["GroupQueryAttention"] == tiny_bundle.LAYERS
        assert {r["read"] for r in own if r["metric"] == "memory_ms"} == {"weights", "cache"}
        read = {r["part"]: r["value"] for r in own if r["metric"] == "weight_part_bytes"}
        (whole,) = [r["value"] for r in own if r["metric"] == "weight_bytes"]
        assert sum(read.values()) == read["floats"] == whole > 0
    text = report.with_suffix(".md").read_text(encoding="utf-8")
    assert "from cache" in text and "Weights that a step reads" in text


def test_bytes_are_told_apart_by_what_they_are(tmp_path: Path) -> None:
    arrays = {
        "gate.weight/blocks": np.zeros((4, 2, 16), np.uint8),
        "gate.weight/scales": np.zeros((4, 2), np.float16),
        "gate.weight/zero_points": np.zeros((4, 1), np.uint8),
        "norm.weight": np.zeros(8, np.float32),
        "embed.emb_code.weight/scale": np.zeros(99, np.float32),
    }
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    path = tmp_path / "gpt.onnx"
    onnx.save(helper.make_model(helper.make_graph([], "gpt", [], [], tensors)), path)
    expected = {"integers": 128, "scales": 16, "zero points": 4, "floats": 32}
    assert step_parts(path) == expected and step_bytes(path) == 180
