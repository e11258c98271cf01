"""Runs tasks as processes with a time limit each, and one for all."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.core.process import own_environment
from pipeline.report.rows import Row
from pipeline.studies.gpu.plan import Task
from pipeline.studies.gpu.setup import Setup

COMMAND = (sys.executable, "-m", "pipeline.studies.gpu.child")
ROWS, LOG = "rows.jsonl", "log.txt"


@dataclass(frozen=True)
class Outcome:
    """How a task ended: ``done``, ``failed``, ``stopped`` or ``skipped``, and after how long."""

    task: str
    status: str
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """For the report."""
        return {"task": self.task, "status": self.status, "seconds": round(self.seconds, 1)}


class Runner:
    """Runs tasks of one check; rows and logs go into files of ``out``.

    Args:
        out: the folder.
        budget: seconds for all tasks together; tasks that would start later are skipped.
        command: what a task's process runs; tests replace it.
    """

    def __init__(self, out: Path, budget: float, command: Sequence[str] = COMMAND) -> None:
        self.out = out
        self.outcomes: list[Outcome] = []
        self._end = time.monotonic() + budget
        self._command = list(command)

    @property
    def left(self) -> float:
        """Seconds left of the budget."""
        return self._end - time.monotonic()

    def run(self, setup: Setup, tasks: Sequence[Task]) -> list[Outcome]:
        """Run ``tasks`` at the same time and wait for all."""
        self._end_line()
        started = time.monotonic()
        running: list[tuple[Task, subprocess.Popen[str], IO[bytes]]] = []
        outcomes = []
        for task in tasks:
            if self.left <= 0:
                outcomes.append(Outcome(task.name, "skipped", 0.0))
                continue
            # Appended: the log of all tasks is one file, and a header says whose lines follow.
            log: IO[bytes] = (self.out / LOG).open("ab")
            log.write(f"\n==== {task.name}\n".encode())
            log.flush()
            running.append((task, self._start(setup, task, log), log))
        for task, process, file in running:
            limit = min(task.seconds, max(1.0, self.left))
            status = _wait(process, limit - (time.monotonic() - started))
            file.close()
            outcomes.append(Outcome(task.name, status, time.monotonic() - started))
        self.outcomes += outcomes
        return outcomes

    def rows(self) -> list[Row]:
        """All rows so far."""
        path = self.out / ROWS
        if not path.exists():
            return []
        rows: list[Row] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            # A process stopped while it wrote may have left half a line.
            with contextlib.suppress(json.JSONDecodeError):
                rows.append(json.loads(line)["row"])
        return rows

    def _end_line(self) -> None:
        """Close a line that a stopped process left open, so that the next one stays whole."""
        path = self.out / ROWS
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            with path.open("ab") as file:
                file.write(b"\n")

    def _start(self, setup: Setup, task: Task, log: IO[bytes]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,
            env={**own_environment(), "PYTHONUNBUFFERED": "1"},
        )
        request = {
            "task": task.name,
            "call": task.call,
            "arguments": task.arguments,
            "setup": setup.as_dict(),
            "rows": str(self.out / ROWS),
        }
        assert process.stdin is not None
        process.stdin.write(json.dumps(request))
        process.stdin.close()
        return process


def _wait(process: subprocess.Popen[str], seconds: float) -> str:
    try:
        return "done" if process.wait(max(0.1, seconds)) == 0 else "failed"
    except subprocess.TimeoutExpired:
        # Its own session: compilers that it started end with it.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return "stopped"
