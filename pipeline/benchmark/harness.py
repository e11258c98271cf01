"""Runs every measurement on every engine, in alternating rounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipeline.benchmark.engine import Timing
from pipeline.benchmark.plan import Measurement

Progress = Callable[[str], None]


class Runner(Protocol):
    """What the harness needs of a worker."""

    description: dict[str, Any]

    def measure(self, name: str, arguments: dict[str, Any]) -> Timing:
        """Run one measurement."""
        ...

    def peak_memory(self) -> int:
        """Bytes."""
        ...


@dataclass
class Samples:
    """Timings by round: ``timings[measurement index][engine][round]``, and each engine's facts."""

    plan: list[Measurement]
    timings: list[dict[str, list[Timing]]] = field(default_factory=list)
    peak_memory: dict[str, int] = field(default_factory=dict)
    descriptions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, others: Samples) -> None:
        """Take over what was measured of other engines, or of other things."""
        for measurement, taken in zip(others.plan, others.timings, strict=True):
            if measurement not in self.plan:
                self.plan.append(measurement)
                self.timings.append({})
            self.timings[self.plan.index(measurement)].update(taken)
        self.peak_memory |= others.peak_memory
        self.descriptions |= others.descriptions


def run_rounds(
    workers: dict[str, Runner],
    plan: Sequence[Measurement],
    rounds: int,
    limit_seconds: float,
    progress: Progress = lambda text: None,
) -> Samples:
    """Warm every engine up, then measure in rounds that visit all engines in turn.

    Only one engine works at a time.  Every second round visits them in reverse, so that a
    machine that slows down or speeds up meanwhile favours none.  An engine whose rounds of one
    measurement have taken ``limit_seconds`` together is not repeated further.
    """
    samples = Samples(plan=list(plan))
    for measurement in samples.plan:
        warmup = measurement.warmup()
        for name, worker in workers.items():
            progress(f"{name}: {measurement.call} (warm-up)")
            worker.measure(warmup.call, warmup.arguments)
        taken: dict[str, list[Timing]] = {name: [] for name in workers}
        for number in range(rounds):
            for name in list(workers)[:: -1 if number % 2 else 1]:
                if sum(timing.seconds for timing in taken[name]) >= limit_seconds:
                    continue
                progress(f"{name}: {measurement.call}")
                taken[name].append(workers[name].measure(measurement.call, measurement.arguments))
        samples.timings.append(taken)
    for name, worker in workers.items():
        samples.peak_memory[name] = worker.peak_memory()
        samples.descriptions[name] = worker.description
    return samples


def progress_total(engines: int, plan: Sequence[Measurement], rounds: int) -> int:
    """How often :func:`run_rounds` reports progress, at most."""
    return engines * len(plan) * (rounds + 1)
