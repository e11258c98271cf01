"""Tasks in processes of their own: what ends one must not take its rows, nor the others."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from pipeline.benchmark.summary import summarize
from pipeline.report.rows import find_value
from pipeline.studies.gpu.plan import Check, Timed
from pipeline.studies.gpu.runner import LOG, Runner
from pipeline.studies.gpu.setup import QUICK, Setup

CHECKS = """
import os, sys, time
from pipeline.core.process import answer
def handle(request):
    name = request["arguments"]["name"]
    print("hello from", name, request["setup"]["checkpoint"], flush=True)
    if name == "crash":
        os.abort()
    if name == "hang":
        time.sleep(60)
    return [{"variant": name, "metric": "m", "value": 1, "unit": "u"}]
answer(handle)
"""
ENGINE = """
import os
from pipeline.core.process import answer
def handle(request):
    if "open" in request:
        return {"size_bytes": 5, "provider": "p"}
    if request["call"] == "peak_memory":
        return 7
    if request["call"] == "decode" and request["arguments"]["batch"] == 2:
        raise MemoryError("out of it")
    if request["call"] == "sentence":
        os.abort()
    return {"seconds": 2.0, "audio_seconds": 1.0, "steps": 4}
answer(handle)
"""


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup("cpu", tmp_path / "work", "smoke", QUICK)


def make_runner(folder: Path, budget: float = 60) -> Runner:
    commands = [sys.executable, "-c", CHECKS], [sys.executable, "-c", ENGINE]
    return Runner(folder, budget, commands)


def check(*names: str, seconds: float = 30) -> Check:
    return Check(names[-1], "call", tuple({"name": name} for name in names), seconds=seconds)


def test_a_crash_loses_neither_rows_nor_other_tasks(setup: Setup, tmp_path: Path) -> None:
    runner = make_runner(tmp_path)
    for names in (["first"], ["second", "crash"], ["third"]):
        runner.run(setup, [check(*names)])
    assert [o.status for o in runner.outcomes] == ["done", "failed", "done"]
    assert [row["variant"] for row in runner.rows] == ["first", "second", "third"]
    log = (tmp_path / LOG).read_text()
    assert "==== crash" in log and "hello from third smoke" in log


def test_a_task_that_hangs_is_stopped(setup: Setup, tmp_path: Path) -> None:
    runner = make_runner(tmp_path)
    started = time.monotonic()
    outcomes = runner.run(setup, [check("stuck", "hang", seconds=3), check("next")])
    assert [outcome.status for outcome in outcomes] == ["stopped", "done"]
    assert time.monotonic() - started < 30
    assert {row["variant"] for row in runner.rows} == {"stuck", "next"}


def test_nothing_starts_when_the_budget_is_spent(setup: Setup, tmp_path: Path) -> None:
    runner = make_runner(tmp_path, budget=0)
    assert [o.status for o in runner.run(setup, [check("late")])] == ["skipped"]
    assert runner.rows == []


def test_what_does_not_fit_fails_alone_and_a_dead_engine_keeps_its_figures(
    setup: Setup, tmp_path: Path
) -> None:
    runner = make_runner(tmp_path)
    (outcome,) = runner.run(setup, [Timed("fp16", "graph")])
    assert outcome.status == "failed"
    rows = summarize(runner.samples["smoke"])
    engine = "fp16:graph"
    assert find_value(rows, engine, "steps_per_second", batch=1, length=16) == 2.0
    assert find_value(rows, engine, "steps_per_second", batch=2) is None
    assert find_value(rows, engine, "first_audio_seconds") == 2.0
    assert find_value(rows, engine, "rtf") is None
    assert "out of it" in (tmp_path / LOG).read_text()
