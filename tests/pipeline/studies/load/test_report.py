from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.core.errors import GateError, LoadError
from pipeline.studies.load.__main__ import main, plan, run
from pipeline.studies.load.measure import CONTINUOUS, NAIVE, RAMP, SOAK, TALK, load_runs
from pipeline.studies.load.report import report
from tests.pipeline.studies.load.runs import made, request
from tests.pipeline.studies.load.test_analysis import talked
from tests.pipeline.studies.load.test_config import default

RUNS = [
    made([request(0.1 * i, 1.0, at=i) for i in range(1, 5)]),
    made([request(2.0 * i, 5.0, at=i) for i in range(1, 5)], system=NAIVE),
    made([request(0.2, 1.0, at=i) for i in range(300)], [1e8] * 300, SOAK, seconds=300),
    made(talked(0.09, 0.1), kind=TALK, seconds=0),
]


def test_report_has_json_tables_and_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "load.json"
    report(path, RUNS, default())
    written = json.loads(path.read_text())
    found = {(row["variant"], row["run"], row["metric"]) for row in written["rows"]}
    assert ("mini", "ramp", "first_audio_p99_seconds") in found
    assert ("mini, lock per request", "ramp", "total_p50_seconds") in found
    assert ("mini", "soak", "memory_growth") in found
    assert {gate["verdict"] for gate in written["context"]["gates"]} == {"kept"}
    text = path.with_suffix(".md").read_text()
    assert "**Random weights** (mini)" in text and "## Soak" in text
    talk = text.partition("## Talking")[2].partition("##")[0]
    assert "| mini | 1 | 90.0 | 90.0 | 90.0 | 100.0 |" in talk and talk.rstrip().endswith("0.90 |")
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    before = path.with_suffix(".png").read_bytes()
    report(path, list(reversed(RUNS)), default())
    assert path.with_suffix(".png").read_bytes() == before


def test_every_row_says_its_code_and_bundle(tmp_path: Path) -> None:
    path = tmp_path / "load.json"
    report(
        path, [RUNS[0], made(RUNS[2].requests, None, SOAK, seconds=300, code="later")], default()
    )
    text = path.with_suffix(".md").read_text()
    assert "| mini | ramp | mini | int8 | bundle-hash | 0123abc |" in text
    assert "| mini | soak | mini | int8 | bundle-hash | later |" in text
    runs = json.loads(path.read_text())["context"]["runs"]
    assert {run["code"] for run in runs.values()} == {"0123abc", "later"}


def test_runs_are_kept_between_parts(tmp_path: Path) -> None:
    for one in RUNS:
        one.save(tmp_path)
    assert sorted(found.name for found in load_runs(tmp_path)) == sorted(r.name for r in RUNS)
    assert {found.name: found for found in load_runs(tmp_path)}[RUNS[2].name] == RUNS[2]


def test_a_failed_gate_fails_after_the_report(tmp_path: Path) -> None:
    made([request(0.9, 1.0)]).save(tmp_path / "runs")
    with pytest.raises(
        GateError, match=r"first_audio_p99_seconds \(run ramp\) is 0\.9, expected ≤ 0\.5"
    ):
        run(default(), [], tmp_path / "runs", tmp_path / "load.json")
    assert (tmp_path / "load.md").exists()


def test_what_is_missing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["report", "--runs", str(tmp_path / "none"), "--report", str(tmp_path / "load.json")]
    assert main(words) == 2
    assert "found no run" in capsys.readouterr().err


def test_what_is_run() -> None:
    config = default()
    mini = [("mini", CONTINUOUS, RAMP), ("mini", NAIVE, RAMP)]
    assert plan(config, "ramp", ["mini"]) == mini
    assert plan(config, "ramp", ["mini"], NAIVE) == mini[1:]
    assert plan(config, "all", [])[:2] == mini
    rest = [("mini", CONTINUOUS, TALK), ("mini", CONTINUOUS, SOAK)]
    assert plan(config, "all", ["mini"]) == [*mini, *rest]
    assert plan(config, "talk", ["mini"]) == rest[:1]
    assert plan(config, "talk", ["mini"], NAIVE) == []
    with pytest.raises(LoadError, match="--target 'big': expected one of mini, "):
        plan(config, "all", ["big"])
    assert plan(config, "all", [])[-1] == ("mini", CONTINUOUS, SOAK)
    assert plan(config, "soak", []) == [("mini", CONTINUOUS, SOAK)]
    assert plan(config, "report", []) == []
