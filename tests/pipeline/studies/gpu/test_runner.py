"""Tasks in processes of their own: what ends one must not take its rows, nor the others."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from pipeline.studies.gpu.plan import Task
from pipeline.studies.gpu.runner import LOG, ROWS, Runner
from pipeline.studies.gpu.setup import QUICK, Setup

WORK = """
import json, os, sys, time
request = json.load(sys.stdin)
row = {"variant": request["task"], "metric": "m", "value": 1, "unit": "u"}
with open(request["rows"], "a") as file:
    file.write(json.dumps({"task": request["task"], "row": row}) + "\\n")
print("hello from", request["task"], request["setup"]["checkpoint"])
action = request["arguments"].get("action")
if action == "crash":
    os.abort()
if action == "hang":
    with open(request["rows"], "a") as file:
        file.write('{"task": "half')
    time.sleep(60)
"""


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup("cpu", tmp_path / "work", "smoke", QUICK)


def make_runner(folder: Path, budget: float = 60) -> Runner:
    return Runner(folder, budget, [sys.executable, "-c", WORK])


def task(name: str, action: str = "", seconds: float = 30) -> Task:
    return Task(name, "call", {"action": action}, seconds=seconds)


def test_a_crash_loses_neither_rows_nor_other_tasks(setup: Setup, tmp_path: Path) -> None:
    runner = make_runner(tmp_path)
    for name, action in (("first", ""), ("second", "crash"), ("third", "")):
        runner.run(setup, [task(name, action)])
    assert [o.status for o in runner.outcomes] == ["done", "failed", "done"]
    assert [row["variant"] for row in runner.rows()] == ["first", "second", "third"]
    log = (tmp_path / LOG).read_text()
    assert "==== second" in log and "hello from third smoke" in log


def test_a_task_that_hangs_is_stopped_and_half_a_line_is_left_out(
    setup: Setup, tmp_path: Path
) -> None:
    runner = make_runner(tmp_path)
    started = time.monotonic()
    (outcome,) = runner.run(setup, [task("stuck", "hang", seconds=3)])
    assert outcome.status == "stopped"
    assert time.monotonic() - started < 30
    assert (tmp_path / ROWS).read_text().endswith("half")
    assert [row["variant"] for row in runner.rows()] == ["stuck"]


def test_rows_after_half_a_line_are_kept(setup: Setup, tmp_path: Path) -> None:
    runner = make_runner(tmp_path)
    runner.run(setup, [task("stuck", "hang", seconds=3)])
    runner.run(setup, [task("next")])
    assert [row["variant"] for row in runner.rows()] == ["stuck", "next"]


def test_nothing_starts_when_the_budget_is_spent(setup: Setup, tmp_path: Path) -> None:
    runner = make_runner(tmp_path, budget=0)
    assert [o.status for o in runner.run(setup, [task("late")])] == ["skipped"]
    assert runner.rows() == []


def test_a_group_runs_at_the_same_time(setup: Setup, tmp_path: Path) -> None:
    runner = make_runner(tmp_path)
    outcomes = runner.run(setup, [task(f"t{i}", "hang", seconds=4) for i in range(3)])
    assert {o.status for o in outcomes} == {"stopped"}
    assert max(o.seconds for o in outcomes) < 11
