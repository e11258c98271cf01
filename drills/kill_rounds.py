"""One kill and one resumption of a stage that DVC runs, and what is checked in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drills.project import (
    DrillError,
    digest,
    dvc,
    environment,
    forget,
    locked,
    outputs,
    stages,
)

# Outputs that hold timings of the run or the id of its record, and what is drawn of these.
UNREPEATABLE = frozenset(
    {
        "build/tracking.json", "reports/benchmark.json", "reports/benchmark.md",
        "reports/benchmark.png", "reports/int8.json", "reports/validation.json",
    }
)  # fmt: skip
# What is left of the time when a process group is killed; its children lose their pipes.
_ORPHAN_SECONDS = 10.0
_TRIES = 6
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
    dvc(folder, "repro", "--single-item", "--force", name, extra=_temporary(folder))
    seconds = time.monotonic() - started
    found = {path.as_posix(): digest(folder / path) for path in outputs(stages(folder)[name])}
    missing = [path for path, value in found.items() if value is None]
    if missing:
        raise DrillError(f"{folder}: {name} wrote no {missing[0]}")
    return Reference(seconds, {path: str(value) for path, value in found.items()})


def kill_round(
    folder: Path, name: str, reference: Reference, draw: Callable[[], float]
) -> dict[str, Any]:
    """Undo a stage, kill it at a random moment, look, resume it, and compare.

    ``draw`` gives shares of the usual time; one after which the stage had ended already is drawn
    again.  ``broken`` of the result lists what went wrong, in words.
    """
    stage = stages(folder)[name]
    broken: list[str] = []
    for attempt in range(1, _TRIES + 1):
        forget(folder, name, stage)
        share = draw() / attempt
        killed = _run_and_kill(folder, name, share * reference.seconds)
        if killed and name not in locked(folder):
            break
    else:
        raise DrillError(f"{name} ended {_TRIES} times before it could be killed")
    broken += _orphans(folder)
    seen = {path: digest(folder / path) for path in reference.hashes}
    broken += half_written(folder, reference, seen)
    scratch = sorted(str(path.relative_to(folder)) for path in _scratch(folder))
    started = time.monotonic()
    dvc(folder, "repro", "--single-item", name, extra=_temporary(folder))
    resumed = time.monotonic() - started
    broken += differences(folder, reference)
    broken += [f"{path.name} is left over" for path in _scratch(folder)]
    return {
        "stage": name,
        "killed_after": round(share * reference.seconds, 3),
        "usual_seconds": round(reference.seconds, 3),
        "in_scratch": scratch,
        "visible": sorted(path for path, value in seen.items() if value),
        "resumed_in": round(resumed, 3),
        "seconds": round(resumed, 3),
        "broken": broken,
    }


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


def _run_and_kill(folder: Path, name: str, seconds: float) -> bool:
    """Start ``dvc repro`` and SIGKILL its process group after some time; False: it had ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "--single-item", name],
        cwd=folder,
        env={**environment(folder), **_temporary(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    if process.returncode:
        raise DrillError(f"{name} failed by itself with status {process.returncode}")
    return False


def _orphans(folder: Path) -> list[str]:
    """Processes at work in the folder some seconds after all were killed."""
    deadline = time.monotonic() + _ORPHAN_SECONDS
    while (found := _at_work(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [f"process {command!r} went on after the kill" for command in found]


def _at_work(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "cwd").readlink() == folder:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            # It ended while we looked.
            continue
    return [command for command in found if command]


def _scratch(folder: Path) -> list[Path]:
    own = [folder, folder / "build", folder / "bundles", folder / "reports"]
    return [path for place in own for path in place.glob(".*.partial")]


def _temporary(folder: Path) -> dict[str, str]:
    """A place for temporary files inside, so that what a kill leaves there can be counted."""
    place = folder / ".dvc" / "tmp" / "stages"
    place.mkdir(parents=True, exist_ok=True)
    return {"TMPDIR": str(place)}
