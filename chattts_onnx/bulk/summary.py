"""How far a job is, and what it came to."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from .files import replace_file
from .shards import Store

SUMMARY = "summary.json"


@dataclass
class Tally:
    """Counts of one run: of ``total`` lines ``resumed`` were done before it began.

    ``machines`` names the nodes of a cluster that finished a shard.
    """

    total: int
    resumed: int = 0
    lines: int = 0
    failed: int = 0
    seconds: float = 0.0
    machines: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)

    def add(self, entry: dict[str, Any]) -> None:
        """Count a line's entry of the manifest."""
        self.lines += 1
        self.failed += entry["status"] != "ok"
        self.seconds += entry["seconds"]

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started

    def __str__(self) -> str:
        done, spent = self.resumed + self.lines, max(self.elapsed, 1e-9)
        left = (self.total - done) * spent / self.lines if self.lines else 0.0
        return (
            f"{done:,} of {self.total:,} lines, {self.failed:,} failed, "
            f"{clock(self.seconds)} of speech in {clock(spent)} "
            f"({self.seconds / spent:.1f} x real time), {clock(left)} left"
        )


TOLD = 5
"""Failed lines that a summary names."""


@dataclass(frozen=True)
class Summary:
    """A finished job.

    ``lines``, ``failed`` and ``seconds`` of speech are the whole job's, as are the takes that were
    ``refused`` and the pieces that stayed ``wrong``; the rest is this run's:
    ``run_lines`` in ``wall_seconds`` made ``run_seconds`` of speech, with ``occupancy`` of the
    ``slots`` in use (None on a cluster, of which ``machines`` worked). ``failures`` are the ids of
    the first :data:`TOLD` lines that failed, and why.
    """

    lines: int
    failed: int
    seconds: float
    truncated: int
    refused: int
    wrong: int
    run_lines: int
    run_seconds: float
    wall_seconds: float
    times_real_time: float
    lines_per_second: float
    slots: int | None
    occupancy: float | None
    machines: int
    failures: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = (
            f"{self.lines:,} lines, {self.failed:,} failed, {clock(self.seconds)} of speech; "
            f"this run: {self.run_lines:,} lines in {clock(self.wall_seconds)}, "
            f"{self.times_real_time:.2f} x real time, {self.lines_per_second:.2f} lines/s"
        )
        if self.occupancy is not None:
            text += f", {self.occupancy:.0%} of {self.slots} slots in use"
        elif self.run_lines:
            text += f" on {self.machines} machines"
        if self.refused or self.wrong:
            text += f"; {self.refused:,} takes were drawn again, {self.wrong:,} pieces stayed wrong"
        if self.truncated:
            text += f"; {self.truncated:,} lines were cut off"
        for told in self.failures:
            text += f"\n  {told}"
        if self.failed > len(self.failures):
            text += f"\n  and {self.failed - len(self.failures):,} more, in the manifest"
        return text


def write_summary(
    store: Store, tally: Tally, slots: int | None = None, occupancy: float | None = None
) -> Summary:
    """Add up the manifest of a finished job and write ``summary.json``."""
    lines = failed = truncated = refused = wrong = 0
    seconds = 0.0
    failures: list[str] = []
    for entry in store.entries():
        lines += 1
        failed += entry["status"] != "ok"
        if entry["status"] != "ok" and len(failures) < TOLD:
            failures.append(f"{entry['id']}: {entry['error']}")
        truncated += entry["status"] == "ok" and not entry["finished"]
        seconds += entry["seconds"]
        # What an earlier version made does not say.
        refused += sum(entry.get("refused", {}).values())
        wrong += sum(entry.get("faults", {}).values())
    spent = max(tally.elapsed, 1e-9)
    summary = Summary(
        lines=lines,
        failed=failed,
        seconds=round(seconds, 3),
        truncated=truncated,
        refused=refused,
        wrong=wrong,
        run_lines=tally.lines,
        run_seconds=round(tally.seconds, 3),
        wall_seconds=round(spent, 3),
        times_real_time=round(tally.seconds / spent, 3),
        lines_per_second=round(tally.lines / spent, 3),
        slots=slots,
        occupancy=None if occupancy is None else round(occupancy, 4),
        machines=max(1, len(tally.machines)),
        failures=tuple(failures),
    )
    path = store.job.output / SUMMARY
    # A run that found nothing left to do would write zeros over the figures of the one that did.
    if tally.lines or not path.is_file():
        replace_file(path, (json.dumps(asdict(summary), indent=2) + "\n").encode())
    return summary


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
