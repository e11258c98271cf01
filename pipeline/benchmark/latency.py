"""The latency budget: what a person waits for before the model begins to speak.

``startup_seconds`` is from the start of a fresh ``chattts-onnx say`` process until its bundle is
opened with every hash checked (``until opened``) and until the graphs of the first sentence are
loaded (``until ready``).  ``normalize_seconds`` is normalising a text of so many characters.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.core.errors import BenchmarkError
from pipeline.core.process import run
from pipeline.report.rows import Row, find_value, make_row, select
from pipeline.report.write import markdown_table

MODULE = "pipeline.benchmark.latency_probe"
REPEATS = 5
NORMALIZE = "normalize_seconds"
CHARACTERS = (60, 960)
# The project's promise for the small checkpoint on two cores.
STARTUP_SECONDS = 1.5
NORMALIZE_SECONDS = 0.030
# Sixteen times the text may take this many times as long; a quadratic rule would take 256.
LINEAR_FACTOR = 32.0
_TIMEOUT = 600.0


@dataclass(frozen=True)
class Probe:
    """Seconds of one process: until ``opened`` and ``ready``, and to normalise by length."""

    opened: float
    ready: float
    normalize: Mapping[int, float]


def measure_latency(bundles: Mapping[str, Path], threads: int, repeats: int = REPEATS) -> list[Row]:
    """Rows of every bundle by name; processes of different bundles take turns.

    Raises :class:`BenchmarkError` when a process fails, with the end of what it said.
    """
    probes: dict[str, list[Probe]] = {name: [] for name in bundles}
    for _ in range(repeats):
        for name, folder in bundles.items():
            probes[name].append(probe(folder, threads))
    return [row for name, found in probes.items() for row in _rows(name, found)]


def probe(folder: Path, threads: int, characters: Sequence[int] = CHARACTERS) -> Probe:
    """Start one process and wait for it."""
    command = [sys.executable, "-m", MODULE, str(folder), str(threads), *map(str, characters)]
    started = time.monotonic()
    said = run(command, f"{folder}: start-up", BenchmarkError, _TIMEOUT)
    try:
        found = json.loads(said)
    except ValueError as error:
        raise BenchmarkError(f"{folder}: start-up gave no answer: {error}") from error
    seconds = {int(length): float(value) for length, value in found["normalize"].items()}
    return Probe(found["opened"] - started, found["ready"] - started, seconds)


def _rows(name: str, probes: Sequence[Probe]) -> list[Row]:
    startup = {"opened": [p.opened for p in probes], "ready": [p.ready for p in probes]}
    rows = [_row(name, "startup_seconds", v, until=until) for until, v in startup.items()]
    return rows + [
        _row(name, NORMALIZE, [p.normalize[length] for p in probes], characters=length)
        for length in probes[0].normalize
    ]


def _row(name: str, metric: str, values: Sequence[float], **conditions: Any) -> Row:
    return make_row(
        name,
        metric,
        median(values),
        "s",
        **conditions,
        min=min(values),
        max=max(values),
        repeats=len(values),
    )


def latency_section(rows: Iterable[Mapping[str, Any]]) -> str:
    """Markdown: each part of the budget, the worst variant's median, and whether it is kept."""
    found = list(rows)

    def worst(metric: str, **conditions: Any) -> float:
        return max(float(row["value"]) for row in select(found, metric, **conditions))

    short, long = CHARACTERS
    growth = max(
        (find_value(found, row["variant"], NORMALIZE, characters=long) or 0.0) / row["value"]
        for row in select(found, NORMALIZE, characters=short)
    )
    lines = [
        _line(
            "start of `say` until the bundle is opened and verified",
            worst("startup_seconds", until="opened"),
            STARTUP_SECONDS,
            "s",
        ),
        _line(
            "start of `say` until its graphs are loaded",
            worst("startup_seconds", until="ready"),
            STARTUP_SECONDS,
            "s",
        ),
        _line(
            f"normalising {short} characters",
            worst(NORMALIZE, characters=short) * 1e3,
            NORMALIZE_SECONDS * 1e3,
            "ms",
        ),
        _line(f"{long} characters as many times as long as {short}", growth, LINEAR_FACTOR, "×"),
    ]
    return "## Latency budget\n\n" + markdown_table(
        ("of all variants", "worst", "at most", ""), lines
    )


def _line(what: str, value: float, limit: float, unit: str) -> tuple[str, str, str, str]:
    verdict = "kept" if value <= limit else "**exceeded**"
    return what, f"{value:.3g} {unit}", f"{limit:g} {unit}", verdict
