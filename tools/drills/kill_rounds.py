"""One kill and one resumption of a stage that DVC runs, and what is checked in between."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.core.process import Process
from pipeline.repro import mend
from tools.drills.project import DrillError, digest, dvc, environment, forget, locked, stages
from tools.drills.reference import Reference, differences, half_written, scratch_of, temporary

# How long workers in sessions of their own may take to see that their pipes are closed.
_ORPHAN_SECONDS = 10.0
_TRIES = 6


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
    scratch = sorted(str(path.relative_to(folder)) for path in scratch_of(folder))
    started = time.monotonic()
    mended = mend(folder)
    dvc(folder, "repro", "--single-item", name, extra=temporary(folder))
    resumed = time.monotonic() - started
    broken += differences(folder, reference)
    broken += [f"{path.name} is left over" for path in scratch_of(folder)]
    return {
        "stage": name,
        "killed_after": round(share * reference.seconds, 3),
        "usual_seconds": round(reference.seconds, 3),
        "in_scratch": scratch,
        "mended": [str(Path(told.partition(":")[0]).relative_to(folder)) for told in mended],
        "visible": sorted(path for path, value in seen.items() if value),
        "resumed_in": round(resumed, 3),
        "seconds": round(resumed, 3),
        "broken": broken,
    }


def _run_and_kill(folder: Path, name: str, seconds: float) -> bool:
    """Start ``dvc repro`` and SIGKILL its process group after some time; False: it had ended."""
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", name]
    with Process(command, {**environment(folder), **temporary(folder)}, folder) as process:
        status = process.wait(seconds)
        process.kill()
    if status:
        raise DrillError(f"{name} failed by itself with status {status}")
    return status is None


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
