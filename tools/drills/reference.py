"""What undisturbed stages write, and how what others left compares with it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.core.atomic import write_json
from pipeline.repro import mend as mend_dvc
from tools.drills.project import DrillError, digest, dvc, forget, outputs, stages

# Outputs that hold timings or the id of a record; reports/export.* those of PyTorch's last digits.
UNREPEATABLE = frozenset(
    {
        "build/tracking.json", "reports/benchmark.json", "reports/benchmark.md",
        "reports/benchmark.png", "reports/export.json", "reports/export.md",
    }
)  # fmt: skip
_PNG_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run of one stage gave.

    Attributes:
        seconds: how long ``dvc repro`` took.
        hashes: digest of each output, by path.
    """

    seconds: float
    hashes: dict[str, str]


def run_once(folder: Path, name: str) -> Reference:
    """Run a stage to its end and take down what it wrote."""
    started = time.monotonic()
    dvc(folder, "repro", "--single-item", "--force", name, extra=temporary(folder))
    seconds = time.monotonic() - started
    found = {path.as_posix(): digest(folder / path) for path in outputs(stages(folder)[name])}
    missing = [path for path, value in found.items() if value is None]
    if missing:
        raise DrillError(f"{folder}: {name} wrote no {missing[0]}")
    return Reference(seconds, {path: str(value) for path, value in found.items()})


def references(folder: Path, names: Iterable[str]) -> dict[str, Reference]:
    """What each stage gives undisturbed: from ``<folder>.json``, or from running it."""
    path = folder.with_name(f"{folder.name}.json")
    known: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    for stage in names:
        if stage not in known:
            print(f"{folder.name}: {stage}", flush=True)
            known[stage] = asdict(run_once(folder, stage))
            write_json(path, known)
    return {stage: Reference(**value) for stage, value in known.items()}


def mend(folder: Path, known: Mapping[str, Reference]) -> None:
    """Make again what a stopped drill left undone."""
    mend_dvc(folder)
    for stage, reference in known.items():
        if differences(folder, reference):
            forget(folder, stage, stages(folder)[stage])
            run_once(folder, stage)


def half_written(folder: Path, reference: Reference, seen: Mapping[str, str | None]) -> list[str]:
    """Outputs that are there but not whole."""
    found = []
    for path, value in seen.items():
        if value is None or value == reference.hashes[path]:
            continue
        if path not in UNREPEATABLE:
            found.append(f"after the kill {path} is neither absent nor whole")
        elif problem := unsound(folder / path):
            found.append(f"after the kill {path} {problem}")
    return found


def differences(folder: Path, reference: Reference) -> list[str]:
    """Outputs of a resumed stage that are not those of an undisturbed one."""
    found = []
    for path, wanted in reference.hashes.items():
        value = digest(folder / path)
        if value is None:
            found.append(f"after resuming {path} is missing")
        elif path in UNREPEATABLE:
            if problem := unsound(folder / path):
                found.append(f"after resuming {path} {problem}")
        elif value != wanted:
            found.append(f"after resuming {path} has other bytes")
    return found


def unsound(path: Path) -> str:
    """What shows that a file was cut short, or nothing."""
    data = path.read_bytes()
    if path.suffix == ".json":
        try:
            json.loads(data)
        except ValueError:
            return "is no JSON"
    elif path.suffix == ".png":
        return "" if data.endswith(_PNG_END) else "has no end"
    elif not data.endswith(b"\n"):
        return "does not end with a line"
    return ""


def scratch_of(folder: Path) -> list[Path]:
    """Scratch files and folders of pipeline.core.atomic that lie there."""
    own = [folder, folder / "build", folder / "bundles", folder / "reports"]
    return [path for place in own for path in place.glob(".*.partial")]


def temporary(folder: Path) -> dict[str, str]:
    """A place for temporary files inside, so that what a kill leaves there can be counted."""
    place = folder / ".dvc" / "tmp" / "stages"
    place.mkdir(parents=True, exist_ok=True)
    return {"TMPDIR": str(place)}
