"""Build the bundles in two clean clones and compare them: ``python -m tools.drills.determinism``.

The second clone has another folder name, and its processes may use one core alone, so that every
library computes with another number of threads.  A drill that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from chattts_onnx.format.manifest import Manifest
from pipeline.core.command import command
from tools.drills.attempts import Attempts
from tools.drills.project import clone, commit_of, cores_only, stages
from tools.drills.record import conclude
from tools.drills.reference import references

SCRATCH = Path("workspaces/drills")
CLONES = ("determinism-1", "determinism-2 of another name")


@command("drills")
def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit status 1 when two files differ, 2 for an error."""
    parser = argparse.ArgumentParser(prog="python -m tools.drills.determinism", description=__doc__)
    parser.add_argument("overrides", nargs="*", metavar="override", help="experiment=smoke, …")
    parser.add_argument("--scratch", type=Path, default=SCRATCH)
    options = parser.parse_args(arguments)
    attempts = drill(options.scratch.absolute(), options.overrides)
    command = " ".join(["python -m tools.drills.determinism", *options.overrides])
    return conclude("determinism", [attempts.row(command)])


def drill(scratch: Path, overrides: Sequence[str]) -> Attempts:
    """Build twice and compare."""
    folders = [scratch / name for name in CLONES]
    used = []
    for folder, cores in zip(folders, (None, 1), strict=True):
        if not (folder / "dvc.yaml").is_file():
            clone(folder, overrides)
        with cores_only(cores):
            references(folder, building(folder))
        report = json.loads((folder / "reports/int8.json").read_text("utf-8"))
        used.append(report["context"]["machine"]["cores"])
    attempts = Attempts(
        "Two clean clones build bundles of equal bytes: weights, graphs and all else.",
        f"commit {commit_of(folders[0])[:10]} cloned twice, the second under another name; built "
        f"on {used[0]} and on {used[1]} cores",
        "files of bundles",
        area="determinism",
    )
    compare(folders[0], folders[1], attempts)
    return attempts


def building(folder: Path) -> list[str]:
    """Stages that make bundles, and those that these need."""
    known = stages(folder)
    last = max(i for i, name in enumerate(known) if name.startswith("quantize@"))
    return list(known)[: last + 1]


def compare(first: Path, second: Path, attempts: Attempts) -> None:
    """Compare all files of all bundles by the hashes that their manifests vouch for."""
    for variant in sorted(
        {path.name for p in (first, second) for path in (p / "bundles").iterdir()}
    ):
        ours, theirs = (Manifest.load(place / "bundles" / variant) for place in (first, second))
        for name in sorted({*ours.files, *theirs.files}):
            same = ours.files.get(name) == theirs.files.get(name)
            problem = [] if same else [f"{variant}/{name} differs"]
            attempts.add(f"{variant} {'equal' if same else 'different'}", problem)


if __name__ == "__main__":
    sys.exit(main())
