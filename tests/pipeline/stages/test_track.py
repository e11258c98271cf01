from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.config import load_params
from pipeline.stages.track import run

ROOT = Path(__file__).resolve().parents[3]
ROWS = [{"variant": "int8", "metric": "rtf", "value": 0.5, "unit": "1", "batch": 1}]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "reports").mkdir()
    report = {"context": {"checkpoint": "mini"}, "rows": ROWS}
    (tmp_path / "reports/benchmark.json").write_text(json.dumps(report))
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    # the sentence files that are logged as datasets
    (tmp_path / "calibration_data").symlink_to(ROOT / "calibration_data")
    return tmp_path


def test_the_marker_names_the_record(workspace: Path) -> None:
    params = load_params(workspace / "params.yaml")
    run(params, workspace)
    marker = json.loads((workspace / "build/tracking.json").read_text())
    assert marker["variants"] == ["int8"]
    client = MlflowClient(tracking_uri=f"sqlite:///{workspace}/mlflow.db")
    parent = client.get_run(marker["run_id"])
    assert parent.data.params["checkpoint.name"] == "mini"
    assert parent.data.params["precision.int8.calibrator"] == params.precision.int8.calibrator
    assert (workspace / "mlruns").is_dir()

    run(params, workspace)
    assert json.loads((workspace / "build/tracking.json").read_text()) == marker


def test_the_configured_database_is_used(workspace: Path) -> None:
    params = load_params(workspace / "params.yaml")
    tracking = replace(params.tracking, uri="sqlite:///other.db", artifacts="elsewhere")
    run(replace(params, tracking=tracking), workspace)
    assert (workspace / "other.db").is_file()
    assert (workspace / "elsewhere").is_dir()
    assert not (workspace / "mlflow.db").exists()
