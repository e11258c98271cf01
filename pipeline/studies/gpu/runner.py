"""Runs tasks in processes of their own, with a time limit each and one for all."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.benchmark.client import COMMAND as ENGINE
from pipeline.benchmark.client import Worker
from pipeline.benchmark.harness import Samples, run_rounds
from pipeline.core.errors import BenchmarkError
from pipeline.core.process import Conversation
from pipeline.report.rows import Row
from pipeline.studies.gpu.plan import Check, Task, Timed
from pipeline.studies.gpu.setup import Setup

CHILD = (sys.executable, "-m", "pipeline.studies.gpu.child")
LOG = "log.txt"
DONE, FAILED, STOPPED, SKIPPED = "done", "failed", "stopped", "skipped"


@dataclass(frozen=True)
class Outcome:
    """How a task ended, and after how long."""

    task: str
    status: str
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {**asdict(self), "seconds": round(self.seconds, 1)}


@dataclass
class Runner:
    """Runs tasks of one check and holds what they gave.

    Attributes:
        out: the folder of the log.
        budget: seconds for all tasks together; tasks that would start later are skipped.
        commands: what processes of checks and of engines run; tests replace them.
        rows: of all checks so far.
        samples: what engines took, by checkpoint.
        outcomes: of all tasks so far.
    """

    out: Path
    budget: float
    commands: tuple[Sequence[str], Sequence[str]] = (CHILD, ENGINE)
    rows: list[Row] = field(default_factory=list)
    samples: dict[str, Samples] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.budget

    def run(self, setup: Setup, tasks: Sequence[Task]) -> list[Outcome]:
        """Run ``tasks`` at the same time and wait for all."""
        with ThreadPoolExecutor(max(1, len(tasks))) as pool:
            outcomes = list(pool.map(lambda task: self._run(setup, task), tasks))
        self.outcomes += outcomes
        return outcomes

    def _run(self, setup: Setup, task: Task) -> Outcome:
        started = time.monotonic()
        if started >= self._end:
            return Outcome(task.name, SKIPPED, 0.0)
        end = min(started + task.seconds, self._end)
        status = DONE
        # The log of all tasks is one file, and a header says whose lines follow.
        self._note(f"\n==== {task.name}\n")
        try:
            if isinstance(task, Check):
                self._check(setup, task, end)
            else:
                self._time(setup, task, end)
        except BenchmarkError as error:
            status = STOPPED if time.monotonic() >= end else FAILED
            self._note(f"{task.name}: {error}\n")
        return Outcome(task.name, status, time.monotonic() - started)

    def _check(self, setup: Setup, task: Check, end: float) -> None:
        with Conversation(task.name, self.commands[0], BenchmarkError, log=self.out / LOG) as child:
            for arguments in task.arguments:
                request = {"call": task.call, "setup": setup.as_dict(), "arguments": arguments}
                self.rows += child.ask(request, max(0.1, end - time.monotonic()))

    def _time(self, setup: Setup, task: Timed, end: float) -> None:
        config = setup.size.config()
        found = self.samples.setdefault(setup.checkpoint, Samples([]))
        failed: list[BenchmarkError] = []
        left = end - time.monotonic()
        with Worker(task.spec(setup), left, self.commands[1], self.out / LOG) as worker:
            for measurement in task.plan(setup):
                worker.timeout = min(config.worker_seconds, max(0.1, end - time.monotonic()))
                try:
                    found.add(
                        run_rounds(
                            {task.engine: worker},
                            [measurement],
                            config.rounds,
                            config.measurement_seconds,
                        )
                    )
                except BenchmarkError as error:
                    # What does not fit in memory fails alone.
                    failed.append(error)
                    if worker.process.status is not None or time.monotonic() >= end:
                        break
        if failed:
            raise failed[0]

    def _note(self, text: str) -> None:
        with (self.out / LOG).open("a", encoding="utf-8") as file:
            file.write(text)
