from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chattts_onnx.format.manifest import Manifest
from pipeline.core.errors import ConfigError
from pipeline.quantization.calibration.statistics import load_statistics
from pipeline.quantization.config import CalibrationConfig
from pipeline.quantization.sizes import graph_hashes
from pipeline.stages import calibrate
from tests.pipeline.stages.workspaces import smoke_params


@pytest.fixture(scope="module")
def workspace(make_workspace: Callable[[str], Path]) -> Path:
    folder = make_workspace("calibrate")
    calibrate.run(smoke_params(), folder)
    return folder


@pytest.mark.slow
def test_text_and_code_positions_of_every_graph(workspace: Path) -> None:
    manifest = Manifest.load(workspace / "bundles" / "fp32")
    statistics = load_statistics(workspace / "build" / "calibration", graph_hashes(manifest))
    assert set(statistics) == {
        "gpt", "text_head", "decoder", "dvae_decode", "dvae_encode", "vocos",
    }  # fmt: skip
    phases = {tuple(item) for item in statistics["gpt"].tensors.values()}
    # what follows the selection of rows sees code positions only
    assert phases == {("text", "code"), ("code",)}
    assert all(item.merged(name).total for item in statistics.values() for name in item.tensors)


@pytest.mark.slow
def test_report(workspace: Path) -> None:
    report = json.loads((workspace / "reports" / "calibration.json").read_text())
    params = smoke_params().calibration.recording
    assert report["context"]["samples"] == params.samples
    steps = report["context"]["code_positions"]
    assert params.min_new_tokens * params.samples <= steps
    assert steps <= params.max_new_tokens * params.samples
    ranges = [row for row in report["rows"] if row["metric"] == "largest_magnitude"]
    assert all(row["min"] <= row["max"] and row["value"] > 0 for row in ranges)
    assert "Outliers" in (workspace / "reports" / "calibration.md").read_text()


@pytest.mark.slow
def test_twice_the_same_bytes(workspace: Path) -> None:
    folder = workspace / "build" / "calibration"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    calibrate.run(smoke_params(), workspace)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_too_few_sentences_stop_before_any_work(tmp_path: Path, workspace: Path) -> None:
    config: CalibrationConfig = smoke_params().calibration
    recording = dataclasses.replace(config.recording, samples=100_000)
    (tmp_path / "bundles").symlink_to(workspace / "bundles")
    (tmp_path / "calibration_data").symlink_to(workspace / "calibration_data")
    with pytest.raises(ConfigError, match="expected at least 100000"):
        calibrate.run(smoke_params(calibration={"recording": recording}), tmp_path)
    assert not (tmp_path / "build").exists()
