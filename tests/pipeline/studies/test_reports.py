from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pipeline.core.errors import ConfigError, PipelineError
from pipeline.params import render
from pipeline.report.rows import make_row, read_report
from pipeline.report.write import write_report
from pipeline.studies.reports import COLLECTIONS, Collection, collect, foreign, main

THOROUGH = next(one for one in COLLECTIONS if one.folder == "thorough")


def ran(root: Path, collection: Collection, override: str, commit: str) -> Path:
    """A workspace as `make repro` leaves it."""
    workspace = root / "workspaces" / collection.workspace
    workspace.mkdir(parents=True)
    (workspace / "params.yaml").write_text(render({"a": 1}, [override]))
    (workspace / "build").mkdir()
    (workspace / "build/origin.json").write_text(json.dumps({"commit": commit}))
    rows = [make_row("int8", "word_error_rate", 3.0, "%")]
    for name in collection.reports:
        write_report(workspace / f"reports/{name}.json", {"machine": {"cpu": "x"}}, rows)
    return workspace


def test_reports_come_with_commit_and_machine(tmp_path: Path) -> None:
    ran(tmp_path, THOROUGH, "speech=thorough", "c" * 40)
    assert collect(tmp_path, THOROUGH) == "c" * 40
    path = tmp_path / "reports/thorough/speech.json"
    report = read_report(path)
    assert report.context == {"commit": "c" * 40, "machine": {"cpu": "x"}}
    assert report.value("int8", "word_error_rate") == 3.0
    lines = path.with_suffix(".md").read_text().splitlines()
    assert lines[0] == "# Speech"
    assert f"- commit: {'c' * 40}" in lines


def test_other_parameters_or_no_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run `make repro OVERRIDES=speech=thorough`"):
        collect(tmp_path, THOROUGH)
    ran(tmp_path, THOROUGH, "speech=default", "c" * 40)
    with pytest.raises(ConfigError, match="expected speech=thorough"):
        collect(tmp_path, THOROUGH)
    assert not (tmp_path / "reports").exists()


def test_nothing_is_brought_where_a_report_is_missing(tmp_path: Path) -> None:
    full = COLLECTIONS[0]
    workspace = ran(tmp_path, full, full.override, "c" * 40)
    (workspace / "reports/search.json").unlink()
    collect(tmp_path, full)
    assert not (tmp_path / "reports/seeded_full/search.json").exists()
    (workspace / "reports/validation.json").unlink()
    (tmp_path / "reports/seeded_full/benchmark.json").unlink()
    with pytest.raises(PipelineError, match="validation"):
        collect(tmp_path, full)
    assert not (tmp_path / "reports/seeded_full/benchmark.json").exists()


def test_what_is_of_another_commit_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "a", "--allow-empty"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    ran(tmp_path, THOROUGH, "speech=thorough", "c" * 40)
    monkeypatch.chdir(tmp_path)
    assert main(["thorough"]) == 0
    assert "reports/thorough/speech.json: of commit cccccccccccc" in capsys.readouterr().out
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.strip()
    origin = tmp_path / "workspaces/mini/build/origin.json"
    origin.write_text(json.dumps({"commit": head}))
    collect(tmp_path, THOROUGH)
    assert not any("thorough" in line for line in foreign(tmp_path))
    (tmp_path / "reports/thorough/speech.json").write_text('{"nodes": {}}')
    assert any("thorough/speech.json: of an earlier form" in line for line in foreign(tmp_path))
    assert main(["other"]) == 2
