"""What a drill found, as rows of the table in ``docs/reliability.md``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.core.atomic import write_json
from pipeline.core.errors import ConfigError
from pipeline.core.strict import parse_strictly
from pipeline.report.machine import machine_context

FOLDER = Path("reports/reliability")


@dataclass(frozen=True, slots=True)
class Promise:
    """One row: what users may rely on, and what trying to break it showed.

    Attributes:
        area: section of the page: ``files``, ``faults``, ``determinism``, ``server``, ``numbers``.
        promise: what holds, as a sentence.
        tried: how it was tried, with the command or the test that does it.
        count: attempts made.
        unit: what an attempt is, in the plural: "inputs", "kills", "requests".
        broken: attempts that broke the promise.
        result: what was seen, with figures; for a broken promise, how.
    """

    area: str
    promise: str
    tried: str
    count: int
    unit: str
    broken: int
    result: str


def write_record(name: str, promises: Sequence[Promise], folder: Path = FOLDER) -> Path:
    """Write a drill's rows to ``<folder>/<name>.json`` and return that path."""
    destination = folder / f"{name}.json"
    rows = [asdict(promise) for promise in promises]
    write_json(destination, {"context": {"machine": machine_context()}, "rows": rows})
    return destination


def merge_record(name: str, promises: Sequence[Promise], folder: Path = FOLDER) -> Path:
    """As :func:`write_record`, keeping the rows of other promises that are there."""
    path = folder / f"{name}.json"
    rows = {row.promise: row for row in read_record(path)} if path.exists() else {}
    rows |= {row.promise: row for row in promises}
    return write_record(name, list(rows.values()), folder)


def read_records(folder: Path = FOLDER) -> list[Promise]:
    """All drills' rows, by file name and then as written.

    Raises:
        ConfigError: no drill has been run, or a record is not of this form.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise ConfigError(
            f"{folder}: found no record, expected those of python -m tools.drills.<name>"
        )
    return [row for path in paths for row in read_record(path)]


def read_record(path: Path) -> list[Promise]:
    """One drill's rows.

    Raises:
        ConfigError: the record is not of this form.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["rows"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: found {error!r}, expected a drill's record") from error
    return [parse_strictly(row, Promise, "a row", f"see {path}") for row in found]


def conclude(name: str, promises: Sequence[Promise], folder: Path = FOLDER) -> int:
    """Write a drill's rows, tell them; exit status 1 where a promise was broken."""
    for row in promises:
        print(f"{row.promise}: {row.count:,} {row.unit}, {row.broken} broken: {row.result}")
    print(write_record(name, promises, folder))
    return int(any(row.broken for row in promises))
