from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Params
from pipeline.core.errors import ConfigError, QuantizationError
from pipeline.stages import calibrate, quantize
from tests.pipeline.stages.workspaces import smoke_params, speaks_like_fp32


@pytest.fixture(scope="module")
def workspace(make_workspace: Callable[[str], Path]) -> Path:
    folder = make_workspace("int8")
    calibrate.run(smoke_params(), folder)
    quantize.run(smoke_params(), folder, "int8")
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
    assert "head.istft.dft/MatMul" in stay
    assert ("gpt", "MatMul") not in executed


@pytest.mark.slow
def test_the_bundle_speaks(workspace: Path) -> None:
    small = speaks_like_fp32(workspace, "int8", 0.98)
    assert small.manifest.notes["int8"]["target"] == "cpu-avx2"


@pytest.mark.slow
def test_another_calibrator_needs_no_new_calibration(workspace: Path) -> None:
    manifest = workspace / "bundles" / "int8" / "manifest.json"
    before = manifest.read_text()
    quantize.run(with_int8(calibrator="percentile"), workspace, "int8")
    assert json.loads(manifest.read_text())["notes"]["int8"]["calibrator"] == "percentile"
    quantize.run(smoke_params(), workspace, "int8")
    assert manifest.read_text() == before


def test_missing_calibration_is_named(tmp_path: Path, workspace: Path) -> None:
    (tmp_path / "bundles").mkdir()
    (tmp_path / "bundles" / "fp32").symlink_to(workspace / "bundles" / "fp32")
    with pytest.raises(QuantizationError, match="run the calibrate stage"):
        quantize.run(smoke_params(), tmp_path, "int8")
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
        quantize.run(smoke_params(), tmp_path, "int8")
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == ["fp32"]


@pytest.mark.parametrize(("target", "message"), [("cuda", "bundle 'w8'"), ("tensorrt", "foreign")])
def test_a_target_that_cannot_run_is_refused_first(
    tmp_path: Path, target: str, message: str
) -> None:
    """Before anything is read: the folder is empty."""
    with pytest.raises(ConfigError, match=message):
        quantize.run(with_int8(target=target), tmp_path, "int8")
