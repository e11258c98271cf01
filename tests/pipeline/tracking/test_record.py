from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from sqlalchemy.exc import OperationalError

from pipeline.core.errors import TrackingError
from pipeline.tracking import record as module
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.pages import PARENT_TAG, links
from pipeline.tracking.places import PLACES
from pipeline.tracking.record import record, tracking_uri
from pipeline.tracking.results import Results, read_results

CONFIG = TrackingConfig(uri="sqlite:///mlflow.db", artifacts="mlruns", experiment="test")


def runs(workspace: Path) -> list[Any]:
    client = MlflowClient(tracking_uri=tracking_uri(CONFIG.uri, workspace))
    experiment = client.get_experiment_by_name("test")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def artifacts(workspace: Path, run: Any, folder: str | None = None) -> set[str]:
    client = MlflowClient(tracking_uri=tracking_uri(CONFIG.uri, workspace))
    with chdir(workspace):
        return {entry.path for entry in client.list_artifacts(run.info.run_id, folder)}


@pytest.fixture
def results(workspace: Path) -> Results:
    return read_results(workspace)


def test_record_is_complete_and_written_once(
    workspace: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fluent API would write into that run, or fail for want of it.
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace}/other.db")
    parent_id = record(results, CONFIG, workspace)

    found = {run.info.run_name: run for run in runs(workspace)}
    parent = next(run for run in found.values() if run.info.run_id == parent_id)
    assert parent.info.status == "FINISHED"
    assert parent.data.params["precision.int8.op_types"] == '["MatMul", "Conv"]'
    assert parent.data.metrics == {
        "pytorch.steps_per_second": 10.0,
        "int8.steps_per_second": 50.0,
        "int8.size_mb": 0.001,
        "int8.top1": 90.0,
    }
    assert parent.data.tags["chattts.checkpoint"] == "mini"
    assert parent.data.tags["chattts.dvc_lock"] == results.lock_hash
    assert parent.data.tags["mlflow.source.git.commit"] == results.git_commit
    assert artifacts(workspace, parent) == {"params.yaml", "dvc.lock", "reports", "tables"}
    assert "reports/benchmark.png" in artifacts(workspace, parent, "reports")

    assert {name for name in found if PARENT_TAG in found[name].data.tags} == {
        "fp32",
        "int8",
        "pytorch",
    }
    int8 = found["int8"]
    assert int8.data.tags[PARENT_TAG] == parent_id
    assert int8.data.params == {
        "variant": "int8",
        "calibrator": "minmax",
        "op_types": '["MatMul", "Conv"]',
    }
    # few, so that a page of charts says something; the rest is in tables
    assert int8.data.metrics == {"steps_per_second": 50.0, "size_mb": 0.001, "top1": 90.0}
    assert artifacts(workspace, int8, "tables") == {
        "tables/benchmark.json",
        "tables/validation.json",
    }
    assert artifacts(workspace, int8, "samples") == {"samples/00.wav"}
    assert artifacts(workspace, int8, "bundle") == {"bundle/manifest.json"}
    assert not (workspace / "other.db").exists()

    assert record(read_results(workspace), CONFIG, workspace) == parent_id
    assert len(runs(workspace)) == 4


def test_a_database_that_cannot_be_written_is_named(
    workspace: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OperationalError("CREATE TABLE", {}, sqlite3.OperationalError("disk is full"))

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", full)
    with pytest.raises(TrackingError, match="found disk is full"):
        record(results, CONFIG, workspace)


def test_a_server_that_is_away_is_named_and_not_waited_for(
    workspace: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1"):
        record(results, replace(CONFIG, uri="http://127.0.0.1:9"), workspace)
    # What the user has set stays; what was not set is bounded.
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert float(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 30


def test_other_results_are_another_run(workspace: Path, results: Results) -> None:
    first = record(results, CONFIG, workspace)
    benchmark = workspace / "reports/benchmark.json"
    benchmark.write_text(benchmark.read_text().replace("50.0", "60.0"), encoding="utf-8")
    second = record(read_results(workspace), CONFIG, workspace)
    assert second != first
    client = MlflowClient(tracking_uri=tracking_uri(CONFIG.uri, workspace))
    speeds = [client.get_run(r).data.metrics["int8.steps_per_second"] for r in (first, second)]
    assert speeds == [50.0, 60.0]


def test_sentences_are_datasets_and_tables_are_shown(workspace: Path, results: Results) -> None:
    (workspace / "sentences.jsonl").write_text('{"text": "一"}\n{"text": "two"}\n')
    config = replace(CONFIG, datasets={"calibration": "sentences.jsonl"})
    parent = record(results, config, workspace)
    client = MlflowClient(tracking_uri=tracking_uri(CONFIG.uri, workspace))
    run = client.get_run(parent)
    (given,) = run.inputs.dataset_inputs
    assert given.dataset.name == "sentences"
    assert {tag.key: tag.value for tag in given.tags} == {"mlflow.data.context": "calibration"}
    assert json.loads(given.dataset.profile)["num_rows"] == 2
    assert "| int8 |" in run.data.tags["mlflow.note.content"]
    with chdir(workspace):
        table = Path(client.download_artifacts(parent, "tables/variants.json", str(workspace)))
    assert json.loads(table.read_text(encoding="utf-8"))["columns"][0] == "variant"


def test_a_copied_record_is_read_where_it_lies(
    workspace: Path, results: Results, tmp_path_factory: pytest.TempPathFactory
) -> None:
    parent = record(results, CONFIG, workspace)
    moved = tmp_path_factory.mktemp("moved")
    shutil.copy(workspace / "mlflow.db", moved)
    shutil.copytree(workspace / "mlruns", moved / "mlruns")
    shutil.rmtree(workspace / "mlruns")
    with chdir(moved):
        client = MlflowClient(tracking_uri="sqlite:///mlflow.db")
        assert {"reports", "tables"} <= {entry.path for entry in client.list_artifacts(parent)}


def test_places_of_an_earlier_version_are_mended(workspace: Path, results: Results) -> None:
    record(results, CONFIG, workspace)
    with sqlite3.connect(workspace / "mlflow.db") as connection:
        for table, column in PLACES:
            connection.execute(f"UPDATE {table} SET {column} = 'file:///elsewhere/' || {column}")
    record(replace(results, content_hash="other"), CONFIG, workspace)
    with sqlite3.connect(workspace / "mlflow.db") as connection:
        found = [uri for (uri,) in connection.execute("SELECT artifact_uri FROM runs")]
    assert len(found) == 8
    assert all(uri.startswith("mlruns/") for uri in found)


def test_pages_open_on_runs_with_figures_and_on_variants(workspace: Path, results: Results) -> None:
    parent = record(results, CONFIG, workspace)
    client = MlflowClient(tracking_uri=tracking_uri(CONFIG.uri, workspace))
    experiment = client.get_experiment_by_name("test")
    assert experiment is not None
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    for name, link in links("http://x", experiment.experiment_id).items():
        assert f"viewStateShareKey={name}" in link
        assert f"mlflow.sharedViewState.{name}" in experiment.tags
    runs = json.loads(experiment.tags["mlflow.sharedViewState.runs"])
    assert "metrics.`int8.steps_per_second`" in runs["selectedColumns"]
    variants = json.loads(experiment.tags["mlflow.sharedViewState.variants"])
    assert parent in variants["searchFilter"]
    assert [chart["metricKey"] for chart in variants["compareRunCharts"]][:1] == ["size_mb"]


def test_figures_of_a_busy_machine_say_so(workspace: Path) -> None:
    report = workspace / "reports/benchmark.json"
    value = json.loads(report.read_text())
    value["context"] = {"load": 13.0, "machine": {"cores": 2}}
    report.write_text(json.dumps(value))
    record(read_results(workspace), CONFIG, workspace)
    for run in runs(workspace):
        assert "13 processes wanted its 2 cores" in run.data.tags["chattts.busy"]
    assert any("Busy" in run.data.tags.get("mlflow.note.content", "") for run in runs(workspace))


def test_a_missing_dataset_is_a_named_error(workspace: Path, results: Results) -> None:
    config = replace(CONFIG, datasets={"calibration": "none.jsonl"})
    with pytest.raises(TrackingError, match=r"none\.jsonl: found no JSONL"):
        record(results, config, workspace)


def test_a_half_written_record_is_replaced(
    workspace: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = module._write_variant

    def killed(*arguments: Any) -> None:
        written(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "_write_variant", killed)
        record(results, CONFIG, workspace)
    left = {run.info.run_id for run in runs(workspace)}
    assert len(left) == 2

    record(results, CONFIG, workspace)
    now = runs(workspace)
    assert len(now) == 4
    assert all(run.info.status == "FINISHED" for run in now)
    assert left.isdisjoint(run.info.run_id for run in now)


def test_limits_of_mlflow_are_kept(workspace: Path, results: Results) -> None:
    results.params["many"] = {f"p{i}": i for i in range(250)}
    results.params["long"] = "长" * 7000
    parent = record(results, CONFIG, workspace)
    run = next(run for run in runs(workspace) if run.info.run_id == parent)
    assert run.data.params["many.p249"] == "249"
    assert run.data.params["long"] == "长" * 6000
    assert run.data.tags["chattts.cut_params"] == "long"


def test_only_relative_sqlite_paths_change(tmp_path: Path) -> None:
    assert tracking_uri("http://host:5000", tmp_path) == "http://host:5000"
    assert tracking_uri("sqlite:///a/b.db", tmp_path) == f"sqlite:///{tmp_path}/a/b.db"
    assert tracking_uri("sqlite:////abs/b.db", tmp_path) == "sqlite:////abs/b.db"
