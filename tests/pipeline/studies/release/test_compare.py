"""A worse result stops; what changed is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pipeline.core.tools import installed_version
from pipeline.report.compare import Rule, figures
from pipeline.studies.release import baseline, compare, upgrade
from tests.pipeline.release.conftest import ROOT, edit_report

QUALITY = Rule("kl_divergence", {"head": "all"}, "lower", 0.25, 0.05, 1e-4, False)
SPEED = Rule("steps_per_second", {"batch": 1}, "higher", 0.3, 0.1, 0.0, True)


@pytest.fixture
def released(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workspace with its present results accepted, as the current folder."""
    monkeypatch.chdir(workspace)
    params = yaml.safe_load((workspace / "params.yaml").read_text(encoding="utf-8"))
    gate = {"metric": "kl_divergence", "direction": "max", "limit": 0.05, "where": {}}
    params["validate"]["gates"] = {"int8": [gate]}
    (workspace / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    assert baseline.main([]) == 0
    return workspace


def test_the_same_results_may_be_released(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main([]) == 0
    printed = capsys.readouterr().out
    assert "1 of 1 gates of that release hold" in printed
    assert "Versions" not in printed


def test_worse_quality_stops_even_within_the_gates(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_report(released, "validation", kl_divergence=0.02)
    assert compare.main(["--output", "changes.md"]) == 1
    captured = capsys.readouterr()
    assert "int8: kl_divergence[head=all] is 0.02, was 0.01" in captured.err
    assert "| int8 | kl_divergence[head=all] | 0.01 | 0.02 | +100.0% | worse |" in captured.out
    assert (released / "changes.md").read_text() == captured.out


def test_the_last_releases_gates_count_not_looser_ones(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = released / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["validate"]["gates"]["int8"][0]["limit"] = 1.0
    params["release"]["rules"] = []
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    edit_report(released, "validation", kl_divergence=0.06)
    assert compare.main([]) == 1
    assert "expected ≤ 0.05" in capsys.readouterr().err


def test_better_and_slower_are_shown(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit_report(released, "validation", kl_divergence=0.005)
    edit_report(released, "benchmark", steps_per_second=20.0)
    assert compare.main([]) == 1
    assert compare.main(["--speed", "show"]) == 0
    printed = capsys.readouterr().out
    assert "| -50.0% | better |" in printed
    assert "| -60.0% | worse |" in printed


def test_speed_of_another_machine_stops_nothing(released: Path) -> None:
    path = released / "reports/benchmark.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    report["context"]["machine"]["cores"] = 64
    path.write_text(json.dumps(report), encoding="utf-8")
    edit_report(released, "benchmark", steps_per_second=1.0)
    assert compare.main([]) == 0


def test_a_busy_machine_s_baseline_says_so_and_stops_no_speed(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = released / "reports/benchmark.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    report["context"]["load"] = 99
    path.write_text(json.dumps(report), encoding="utf-8")
    assert baseline.main([]) == 0
    report["context"]["load"] = 0
    path.write_text(json.dumps(report), encoding="utf-8")
    edit_report(released, "benchmark", steps_per_second=1.0)
    assert compare.main([]) == 0
    assert "Then: **Busy machine**" in capsys.readouterr().out


def test_versions_that_changed_are_shown(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = released / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    before = params["tools"]["onnxruntime"]
    params["tools"]["onnxruntime"] = "9.9.9"
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    assert compare.main([]) == 0
    assert f"| onnxruntime | {before} | 9.9.9 |" in capsys.readouterr().out


def test_a_variant_that_is_gone_stops(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("validation", "benchmark"):
        path = released / "reports" / f"{name}.json"
        report = json.loads(path.read_text(encoding="utf-8"))
        report["rows"] = [row for row in report["rows"] if row["variant"] != "fp32"]
        path.write_text(json.dumps(report), encoding="utf-8")
    assert compare.main([]) == 1
    assert "fp32: no longer measured" in capsys.readouterr().err


def test_another_checkpoint_is_not_compared(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = released / "reports/release.json"
    path.write_text(path.read_text().replace('"r1"', '"r0"'), encoding="utf-8")
    assert compare.main([]) == 2
    assert "different weights" in capsys.readouterr().err


def test_without_a_baseline_it_says_how_to_make_one(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (released / "reports/release.json").unlink()
    assert compare.main([]) == 2
    assert "python -m pipeline.studies.release.baseline" in capsys.readouterr().err


def test_the_worst_row_counts_and_noise_does_not() -> None:
    rows = [
        {"variant": "a", "metric": "steps_per_second", "batch": 1, "value": value}
        for value in (9.0, 7.0)
    ]
    assert figures(rows, "a", [SPEED, QUALITY]) == {"steps_per_second[batch=1]": 7.0}
    from pipeline.report.compare import compare as judge

    def verdict(rule: Rule, before: float, after: float) -> str:
        (change,) = judge("a", {rule.key: before}, {rule.key: after}, [rule], True)
        return change.verdict

    assert verdict(QUALITY, 1e-12, 5e-5) == "same"
    assert verdict(QUALITY, 1e-12, 2e-4) == "worse"
    assert verdict(QUALITY, 0.1, 0.12) == "same"
    assert verdict(SPEED, 100.0, 71.0) == "same"
    assert verdict(SPEED, 100.0, 69.0) == "worse"
    assert verdict(SPEED, 100.0, 111.0) == "better"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    for name in (upgrade.CONF.as_posix(), *upgrade.PINS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", yaml.safe_load((ROOT / upgrade.CONF).read_text()))
def test_one_command_changes_a_version_everywhere(sources: Path, name: str) -> None:
    before = installed_version(name)
    assert before is not None
    changed = upgrade.upgrade(sources, name, "99.1.0")
    assert "conf/tools/default.yaml" in changed and "pyproject.toml" in changed
    text = "".join((sources / place).read_text() for place in changed)
    assert f"{name}=={before}" not in text
    assert yaml.safe_load((sources / upgrade.CONF).read_text())[name] == "99.1.0"
    others = (sources / upgrade.CONF).read_text().count("99.1.0")
    assert others == 1
    assert upgrade.upgrade(sources, name, "99.1.0") == []


def test_both_builds_of_onnxruntime_are_changed_together(sources: Path) -> None:
    upgrade.upgrade(sources, "onnxruntime", "99.1.0")
    assert "onnxruntime==99.1.0" in (sources / "requirements/cpu.in").read_text()
    assert "]==99.1.0" in (sources / "requirements/gpu.in").read_text()


@pytest.mark.parametrize(("name", "version"), [("numpi", "1.0"), ("numpy", "latest")])
def test_an_unknown_tool_or_version_is_refused(
    sources: Path, monkeypatch: pytest.MonkeyPatch, name: str, version: str
) -> None:
    monkeypatch.chdir(sources)
    assert upgrade.main([name, version]) == 2
