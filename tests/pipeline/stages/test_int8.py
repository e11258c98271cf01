from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chattts_onnx.bundle import open_bundle
from pipeline.config import Params
from pipeline.core.errors import ConfigError, QuantizationError
from pipeline.stages import calibrate, int8
from tests.pipeline.stages.workspaces import make_workspace, smoke_params


@pytest.fixture(scope="module")
def workspace(
    smoke_checkpoint: Path, smoke_export: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("int8") / "workspace"
    make_workspace(folder, smoke_checkpoint, smoke_export)
    calibrate.run(smoke_params(), folder)
    int8.run(smoke_params(), folder)
    return folder


def with_int8(**fields: object) -> Params:
    """The smoke parameters with some fields of ``precision.int8`` replaced."""
    from dataclasses import replace

    params = smoke_params()
    changed: Any = replace(params.precision.int8, **fields)
    return replace(params, precision=replace(params.precision, int8=changed))


def rows(workspace: Path, metric: str) -> list[dict[str, Any]]:
    report = json.loads((workspace / "reports" / "int8.json").read_text())
    return [row for row in report["rows"] if row["metric"] == metric]


@pytest.mark.slow
def test_every_graph_runs_in_integers(workspace: Path) -> None:
    quantized = {
        (row["graph"], row["op_type"]): row["value"] for row in rows(workspace, "quantized_nodes")
    }
    executed = {
        (row["graph"], row["op_type"]): row["value"] for row in rows(workspace, "executed_nodes")
    }
    for (graph, op_type), count in quantized.items():
        integer = {
            "MatMul": "MatMulIntegerToFloat",
            "MatMulNBits": "MatMulNBits",
        }[op_type]
        assert executed[graph, integer] == count
    assert {graph for graph, _ in quantized} == {
        "gpt", "text_head", "decoder", "dvae_decode", "dvae_encode", "vocos",
    }  # fmt: skip
    stay = {row["node"]: row["reason"] for row in rows(workspace, "excluded")}
    reasons = ("matches exclude_names", "Conv is not among op_types")
    assert all(reason.startswith(reasons) for reason in stay.values())
    assert "head.istft/MatMul" in stay
    assert ("gpt", "MatMul") not in executed


@pytest.mark.slow
def test_the_bundle_speaks(workspace: Path) -> None:
    small = open_bundle(workspace / "bundles" / "int8", providers=["CPUExecutionProvider"])
    full = open_bundle(workspace / "bundles" / "fp32", providers=["CPUExecutionProvider"])
    assert small.manifest.variant == "int8"
    assert small.manifest.notes["int8"]["target"] == "cpu-avx2"
    prompt = small.prepare("hello there")[None]
    codes = np.random.default_rng(0).integers(0, full.model.end_token, (1, 9, full.model.num_vq))
    mask = np.ones(prompt.shape[:2], np.int64)
    a, b = (bundle.forced(prompt, mask, codes)[0] for bundle in (full, small))
    assert (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()) > 0.98
    params = small.default_params().but(min_new_tokens=4, max_new_tokens=8)
    assert np.isfinite(small.say("hello", 7, params=params, seed=1)).all()


@pytest.mark.slow
def test_another_calibrator_needs_no_new_calibration(workspace: Path) -> None:
    manifest = workspace / "bundles" / "int8" / "manifest.json"
    before = manifest.read_text()
    int8.run(with_int8(calibrator="percentile"), workspace)
    assert json.loads(manifest.read_text())["notes"]["int8"]["calibrator"] == "percentile"
    int8.run(smoke_params(), workspace)
    assert manifest.read_text() == before


def test_missing_calibration_is_named(tmp_path: Path, workspace: Path) -> None:
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "fp32").symlink_to(workspace / "bundles" / "fp32")
    with pytest.raises(QuantizationError, match="run the calibrate stage"):
        int8.run(smoke_params(), tmp_path)
    assert not (tmp_path / "bundles" / "int8").exists()


def test_a_failure_leaves_no_bundle(tmp_path: Path, workspace: Path) -> None:
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "fp32").symlink_to(workspace / "bundles" / "fp32")
    folder = tmp_path / "build" / "calibration"
    folder.mkdir(parents=True)
    for path in (workspace / "build" / "calibration").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    summary = json.loads((folder / "calibration.json").read_text())
    for row in summary["graphs"]["vocos"]:
        row["tensor"] += "_of_another_graph"
    (folder / "calibration.json").write_text(json.dumps(summary))
    with pytest.raises(QuantizationError, match="found no calibration of tensor"):
        int8.run(smoke_params(), tmp_path)
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == ["fp32"]


@pytest.mark.parametrize(("target", "message"), [("cuda", "bundle 'w8'"), ("tensorrt", "foreign")])
def test_a_target_that_cannot_run_is_refused_first(
    tmp_path: Path, target: str, message: str
) -> None:
    """Before anything is read: the folder is empty."""
    with pytest.raises(ConfigError, match=message):
        int8.run(with_int8(target=target), tmp_path)
