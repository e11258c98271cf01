"""Take away what the pipeline and the engine stand on: ``python -m tools.drills.faults``.

Works in a clone of what is committed, with ``experiment=smoke`` (two layers of random weights).
Needs root's rights to mount a tmpfs and to make a memory cgroup, and libfaketime for the clock.
What a drill that was stopped had found is kept; with ``--only``, those faults alone are tried,
also again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from pipeline.core.atomic import write_json
from pipeline.core.command import command
from pipeline.core.strict import parse_strictly
from tools.drills import fault_clock, fault_downloads, fault_services, fault_storage
from tools.drills.attempts import Attempts
from tools.drills.kills import CORES
from tools.drills.project import clone, cores_only, stages
from tools.drills.record import Promise, conclude
from tools.drills.reference import mend, references
from tools.drills.serving_kills import serving_reference

SCRATCH = Path("workspaces/drills")
# One stage of each way to write: folders, graphs with external data, archives, a database.
WAYS = ["checkpoint", "fuse", "calibrate", "quantize@int8", "release", "track"]
# Where two at once could mix graphs.
PAIRS = ["checkpoint", "quantize@fp16", "quantize@int8", "quantize@w8"]
COMMAND = "python -m tools.drills.faults"


@command("drills")
def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit status 1 when a promise was broken, 2 for an error."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--scratch", type=Path, default=SCRATCH)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10, help="downloads to break")
    parser.add_argument("--only", nargs="+", default=[], metavar="FAULT")
    parser.add_argument("--faketime", type=Path, default=fault_clock.LIBRARY)
    options = parser.parse_args(arguments)
    with cores_only(CORES):
        return conclude("faults", drill(options.scratch.absolute(), options))


def drill(scratch: Path, options: argparse.Namespace) -> list[Promise]:
    """Every fault's row: of this run, or of an earlier one."""
    folder = scratch / "smoke"
    if not (folder / "dvc.yaml").is_file():
        clone(folder, ["experiment=smoke"])
    names = list(stages(folder))
    known = references(folder, names)
    mend(folder, known)
    place, seed = scratch / "place", options.seed
    faults: dict[str, Callable[[], Attempts | Promise]] = {
        "full_disk": partial(fault_storage.full_disk, folder, place, known, names, seed),
        "read_only": partial(fault_storage.read_only, folder, place, known, WAYS),
        "memory": partial(fault_storage.little_memory, folder, place, known, WAYS, seed),
        "clock": partial(fault_clock.wrong_clock, folder, known, WAYS, options.faketime),
        "clock_server": lambda: fault_clock.wrong_clock_serving(
            folder, serving_reference(folder), options.faketime
        ),
        "archives": partial(fault_downloads.cut_archives, folder, place, options.count, seed),
        "checkpoints": partial(fault_downloads.cut_checkpoints, folder, place, options.count, seed),
        "mlflow": partial(fault_services.mlflow_down, folder, place),
        "two_repro": partial(fault_services.two_at_once, folder, known, PAIRS),
        "two_stages": partial(fault_services.two_stages_at_once, folder, place, known, PAIRS),
        "gpu": partial(fault_services.no_gpu, folder),
        "gpu_lost": fault_services.lost_gpu,
    }
    rows = [_found(name, attempt, scratch, options.only) for name, attempt in faults.items()]
    return [row for row in rows if row is not None]


def _found(
    name: str, attempt: Callable[[], Attempts | Promise], scratch: Path, only: Sequence[str]
) -> Promise | None:
    """The row of a fault, or None where it was neither tried nor is to be tried now."""
    path = scratch / f"fault-{name}.json"
    if name not in only and path.is_file():
        return parse_strictly(json.loads(path.read_text("utf-8")), Promise)
    if only and name not in only:
        return None
    print(name, flush=True)
    found = attempt()
    row = found if isinstance(found, Promise) else found.row(COMMAND)
    print(f"{name}: {row.count} {row.unit}, {row.broken} broken: {row.result}", flush=True)
    write_json(path, asdict(row))
    return row


if __name__ == "__main__":
    sys.exit(main())
