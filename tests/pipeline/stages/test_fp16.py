from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx.bundle import open_bundle
from pipeline.fidelity.half_range import HalfRangeBundle
from pipeline.stages import quantize
from tests.pipeline.stages.workspaces import smoke_params


@pytest.fixture(scope="module")
def workspace(make_workspace: Callable[[str], Path]) -> Path:
    folder = make_workspace("fp16")
    quantize.run(smoke_params(), folder, "fp16")
    return folder


@pytest.mark.slow
def test_the_bundle_speaks_as_fp32_does(workspace: Path) -> None:
    half = open_bundle(workspace / "bundles" / "fp16", providers=["CPUExecutionProvider"])
    full = open_bundle(workspace / "bundles" / "fp32", providers=["CPUExecutionProvider"])
    assert half.manifest.variant == "fp16"
    assert half.model.kv_dtype == "float16"
    kinds = {t.dtype for t in half.manifest.graph("gpt").inputs if "past" in t.name}
    assert kinds == {"float16"}
    prompt = half.prepare("hello there")[None]
    codes = np.random.default_rng(0).integers(0, full.model.end_token, (1, 9, full.model.num_vq))
    mask = np.ones(prompt.shape[:2], np.int64)
    wanted, found = (b.forced(prompt, mask, codes)[1] for b in (full, half))
    assert np.abs(found - wanted).max() < 0.02
    hidden = np.random.default_rng(1).standard_normal((1, 12, full.model.hidden_size))
    a, b = (bundle.decode_hidden(hidden) for bundle in (full, half))
    assert ((a - b) ** 2).sum() < 1e-3 * (a**2).sum()
    params = half.default_params().but(min_new_tokens=4, max_new_tokens=8)
    assert np.isfinite(half.say("hello", 7, params=params, seed=1)).all()


@pytest.mark.slow
def test_a_sound_bundle_stays_within_the_range_of_fp16(workspace: Path) -> None:
    half = open_bundle(workspace / "bundles" / "fp16", providers=["CPUExecutionProvider"])
    strict = HalfRangeBundle(half.path, half.manifest, half.config)
    prompt = half.prepare("hello there")[None]
    codes = np.random.default_rng(0).integers(0, half.model.end_token, (1, 9, half.model.num_vq))
    mask = np.ones(prompt.shape[:2], np.int64)
    wanted, found = (b.forced(prompt, mask, codes)[1] for b in (half, strict))
    assert np.abs(found - wanted).max() < 0.02
    assert strict.session("gpt") is not half.session("gpt")
    assert np.isfinite(strict.decode_codes(codes)).all()


@pytest.mark.slow
def test_the_report_names_what_stays_fp32(workspace: Path) -> None:
    report = json.loads((workspace / "reports" / "fp16.json").read_text())
    kept = {row["node"]: row["reason"] for row in report["rows"] if row["metric"] == "kept_fp32"}
    assert kept["head/Exp"] == "operator"
    assert kept["head.istft.dft/MatMul"] == "name"
    assert not any("GroupQueryAttention" in node for node in kept)
    (gpt,) = [
        row["value"]
        for row in report["rows"]
        if row["metric"] == "graph_size_ratio" and row["graph"] == "gpt"
    ]
    assert gpt < 0.55
    assert "FP16 is for GPUs" in (workspace / "reports" / "fp16.md").read_text()
