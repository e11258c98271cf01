"""A machine whose cores others want: waited for within bounds, and told wherever figures go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import summary
from pipeline.release.card import model_card
from pipeline.release.licences import Weights
from pipeline.report import machine
from pipeline.report.machine import busy_note, idle_load, machine_load
from pipeline.report.measured import read_measured

BUSY = {"load": 3.5, "machine": {"cores": 4}}


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Processes that run, this one among them, at each look; a look takes a second."""
    found: list[int] = []
    clock = [0.0]
    path = tmp_path / "loadavg"
    path.write_text("0.00 0.00 0.00 1/80 7\n")

    def sleep(_: float) -> None:
        clock[0] += 1.0
        path.write_text(f"9.00 0.00 0.00 {found.pop(0) if found else 1}/80 7\n")

    monkeypatch.setattr(machine, "LOAD", path)
    monkeypatch.setattr(machine, "SAMPLES", 1)
    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    monkeypatch.setattr(machine.time, "sleep", sleep)
    monkeypatch.setattr(machine.time, "monotonic", lambda: clock[0])
    return found


def test_the_load_is_that_of_others_now(loads: list[int]) -> None:
    assert machine_load() == 0.0


def test_a_busy_machine_is_waited_for(loads: list[int]) -> None:
    loads += [4, 4, 4, 1]
    machine_load()
    assert idle_load(10.0) == 0.0
    assert not loads


def test_the_wait_has_an_end(loads: list[int]) -> None:
    loads += [4] * 50
    machine_load()
    assert idle_load(10.0) == 3.0
    assert len(loads) > 30


@pytest.mark.parametrize(
    ("load", "told"), [(None, False), (0.0, False), (2.0, False), (2.1, True), (13.0, True)]
)
def test_half_of_the_cores_may_be_wanted(load: float | None, told: bool) -> None:
    assert bool(busy_note({"load": load, "machine": {"cores": 4}})) == told


@pytest.mark.parametrize("context", [BUSY, {**BUSY, "load": 0.5}])
def test_summary_and_card_tell_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    context: dict[str, Any],
) -> None:
    row = {"variant": "int8", "metric": "rtf", "value": 0.5, "unit": "s/s", "batch": 1}
    for name in ("benchmark", "validation"):
        path = tmp_path / "reports" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"context": context, "rows": [row]}))
    monkeypatch.chdir(tmp_path)
    assert summary.main() == 0
    told = context["load"] > 2
    assert ("Busy machine" in capsys.readouterr().out) == told
    measured = read_measured(tmp_path)
    card = model_card("x", {}, measured, Weights("MIT", False, True), {})
    assert ("Busy machine" in card) == told
