from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chattts_onnx.errors import BundleError
from pipeline.core.errors import ConfigError, GateError
from pipeline.report.gates import GateConfig
from pipeline.stages import speech
from tests.pipeline.stages.workspaces import add_noise, smoke_params

SMALL: dict[str, Any] = {"variants": ["fp32", "int8"], "gates": {}}


@pytest.fixture(scope="module")
def workspace(make_workspace: Callable[[str], Path]) -> Path:
    folder = make_workspace("speech")
    add_noise(folder / "bundles/fp32", folder / "bundles/int8", "gpt", 0.3, "int8")
    return folder


@pytest.mark.slow
def test_random_weights_are_labelled_and_not_held_to_gates(workspace: Path) -> None:
    gates = {"fp32": [GateConfig("word_error_rate", "max", 12.0)]}
    params = smoke_params(speech={**SMALL, "gates": gates, "control": True})
    speech.run(params, workspace)
    report = json.loads((workspace / "reports/speech.json").read_text())
    context = report["context"]
    assert context["speaks"] is False
    assert context["checkpoint"]["weights"] == "random"
    assert context["gates"] == []
    assert context["sentences"] == 1
    assert context["provider"] == ["CPUExecutionProvider"]
    assert {row["variant"] for row in report["rows"]} == {"fp32", "int8", "fp32_other_seeds"}
    found = {(row["variant"], row["metric"]): row for row in report["rows"]}
    assert found["int8", "word_error_rate"]["unit"] == "%"
    assert found["int8", "word_error_rate"]["low"] is None
    assert "Random weights" in (workspace / "reports/speech.md").read_text()
    assert (workspace / "reports/speech.png").read_bytes().startswith(b"\x89PNG")
    assert "random weights" in (workspace / "listen.html").read_text()


@pytest.mark.slow
def test_a_broken_gate_stops_the_stage_after_the_report(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the weights were trained: noise is not understood."""
    monkeypatch.setattr(speech, "has_random_weights", lambda described: False)
    gates = {"fp32": [GateConfig("word_error_rate", "max", 12.0)]}
    changes = {**SMALL, "gates": gates, "speaks": True, "max_steps": 16}
    with pytest.raises(GateError, match=r"fp32: word_error_rate .*is \d+.*expected ≤ 12"):
        speech.run(smoke_params(speech=changes), workspace)
    report = json.loads((workspace / "reports/speech.json").read_text())
    assert [gate["verdict"] for gate in report["context"]["gates"]] == ["broken"]
    assert "**broken**" in (workspace / "reports/speech.md").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speaks": True}, "speaks is true, but the bundles were made from random weights"),
        ({"tools": {"speechmos": "9.9"}}, "tools.speechmos: found .*, expected 9.9"),
        ({"gates": {"fp32": [GateConfig("mos", "min", 4.0)]}}, "unknown metric 'mos'"),
        ({"gates": {"fp8": []}}, "unknown variant 'fp8'"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(
    workspace: Path, changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "judge_all", lambda *_: pytest.fail("work began"))
    with pytest.raises(ConfigError, match=message):
        speech.run(smoke_params(speech={**SMALL, **changes}), workspace)


def test_a_listener_of_english_alone_is_asked_for_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speech, "Listener", lambda *_: SimpleNamespace(multilingual=False))
    with pytest.raises(ConfigError, match="knows English only"):
        speech.make_judges(smoke_params(speech={**SMALL, "languages": ["zh"]}).speech)


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="bundles/fp32"):
        speech.run(smoke_params(speech=SMALL), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants": []}, "variants is empty"),
        ({"languages": ["fr"]}, "languages: found fr"),
        ({"count": 0}, "count is 0"),
    ],
)
def test_refused_parameters(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        smoke_params(speech={**SMALL, **changes})


def test_the_judges_versions_are_the_pinned_ones() -> None:
    from pipeline.core.tools import check_tools

    check_tools(smoke_params().speech.tools)
