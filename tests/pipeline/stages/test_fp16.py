from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.fidelity.half_range import HalfRangeBundle
from pipeline.stages import quantize
from tests.pipeline.stages.workspaces import forced, opened, smoke_params, speaks_like_fp32


@pytest.fixture(scope="module")
def workspace(make_workspace: Callable[[str], Path]) -> Path:
    folder = make_workspace("fp16")
    quantize.run(smoke_params(), folder, "fp16")
    return folder


@pytest.mark.slow
def test_the_bundle_speaks_as_fp32_does(workspace: Path) -> None:
    half, full = speaks_like_fp32(workspace, "fp16", 0.9999), opened(workspace, "fp32")
    assert half.model.kv_dtype == "float16"
    kinds = {t.dtype for t in half.manifest.graph("gpt").inputs if "past" in t.name}
    assert kinds == {"float16"}
    assert np.abs(forced(half)[1] - forced(full)[1]).max() < 0.02
    hidden = np.random.default_rng(1).standard_normal((1, 12, full.model.hidden_size))
    a, b = (bundle.decode_hidden(hidden) for bundle in (full, half))
    assert ((a - b) ** 2).sum() < 1e-3 * (a**2).sum()


@pytest.mark.slow
def test_a_sound_bundle_stays_within_the_range_of_fp16(workspace: Path) -> None:
    half = opened(workspace, "fp16")
    strict = HalfRangeBundle(half.path, half.manifest, half.config)
    assert np.abs(forced(strict)[1] - forced(half)[1]).max() < 0.02
    assert strict.session("gpt") is not half.session("gpt")
    codes = np.random.default_rng(0).integers(0, half.model.end_token, (1, 9, half.model.num_vq))
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
