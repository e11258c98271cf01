"""A small finished workspace in the form that the stages write."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient

from pipeline.report.rows import make_row
from tests.chattts_onnx import tiny_bundle

PARAMS = {
    "seed": 7,
    "checkpoint": {"name": "mini", "kind": "seeded"},
    "precision": {
        "fp16": {"max_range": 512.0},
        "int8": {"calibrator": "minmax", "op_types": ["MatMul", "Conv"]},
    },
    "tracking": {"uri": "sqlite:///mlflow.db", "artifacts": "mlruns", "experiment": "test"},
}
LOCK = {
    "schema": "2.0",
    "stages": {"benchmark": {"cmd": "b"}, "track": {"cmd": "t", "outs": [{"md5": "1"}]}},
}
BENCHMARK = [
    make_row("pytorch", "steps_per_second", 10.0, "1/s", batch=1),
    make_row("int8", "steps_per_second", 50.0, "1/s", batch=1, length=64, min=48.0, max=51.0),
    make_row("int8", "size_bytes", 1000, "bytes"),
]
VALIDATION = [
    make_row("int8", "top1_agreement", 0.9, "1", head="all"),
    make_row("fp32", "kl_divergence", 0.0, "nat"),
    {"metric": "prompts", "value": 4, "unit": "1"},
]


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow: its many migrations take seconds, so they run once."""
    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def workspace(tmp_path: Path, database: Path) -> Path:
    """Reports, samples, bundles, parameters and a lock file below a temporary folder."""
    shutil.copy(database, tmp_path)
    write_yaml(tmp_path / "params.yaml", PARAMS)
    write_yaml(tmp_path / "dvc.lock", LOCK)
    write_report(tmp_path / "reports/benchmark.json", BENCHMARK)
    write_report(tmp_path / "reports/validation.json", VALIDATION)
    (tmp_path / "reports/benchmark.md").write_text("| variant |\n", encoding="utf-8")
    (tmp_path / "reports/benchmark.png").write_bytes(b"\x89PNG")
    for variant in ("fp32", "int8"):
        bundle = tmp_path / "bundles" / variant
        bundle.mkdir(parents=True)
        (bundle / "manifest.json").write_text(f'{{"variant": "{variant}"}}', encoding="utf-8")
        samples = tmp_path / "samples" / variant
        samples.mkdir(parents=True)
        (samples / "00.wav").write_bytes(b"RIFF" + variant.encode())
    return tmp_path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that speaks."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    tiny_bundle.build(folder)
    return folder


@pytest.fixture
def speaking(workspace: Path, tiny: Path) -> Path:
    """The workspace with a bundle that speaks in the place of int8, and without the other."""
    shutil.rmtree(workspace / "bundles")
    shutil.copytree(tiny, workspace / "bundles/int8")
    report = workspace / "reports/validation.json"
    value = json.loads(report.read_text(encoding="utf-8"))
    gate = {"variant": "int8", "metric": "top1_agreement", "limit": 0.8, "verdict": "kept"}
    value["context"] = {"gates": [gate]}
    report.write_text(json.dumps(value), encoding="utf-8")
    return workspace


def write_yaml(path: Path, value: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(value), encoding="utf-8")


def write_report(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(exist_ok=True)
    report = {"context": {"checkpoint": "mini"}, "rows": rows}
    path.write_text(json.dumps(report), encoding="utf-8")


@pytest.fixture
def edit_lock() -> Callable[[Path, str, str], None]:
    """Change one stage's command in ``dvc.lock``."""

    def edit(workspace: Path, stage: str, command: str) -> None:
        lock = yaml.safe_load((workspace / "dvc.lock").read_text(encoding="utf-8"))
        lock["stages"][stage]["cmd"] = command
        write_yaml(workspace / "dvc.lock", lock)

    return edit
