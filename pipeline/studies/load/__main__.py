"""The load test: locust's users against the product's server and a naive one.

``python -m pipeline.studies.load`` runs all of it; ``ramp``, ``talk``, ``soak`` or ``report`` run a
part, since each run is kept in ``build/load/`` and the report is made of those that are there.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import sys
from pathlib import Path

from pipeline.core.command import command
from pipeline.core.errors import LoadError
from pipeline.core.strict import parse_strictly, read_yaml
from pipeline.report.gates import enforce
from pipeline.studies.load.analysis import CONFIG
from pipeline.studies.load.config import LoadConfig
from pipeline.studies.load.measure import (
    CONTINUOUS,
    NAIVE,
    RAMP,
    SOAK,
    TALK,
    load_runs,
    measure,
)
from pipeline.studies.load.report import report

PARTS = ("all", RAMP, TALK, SOAK, "report")
SYSTEMS = {"both": "", "continuous": CONTINUOUS, "naive": NAIVE}


def plan(
    config: LoadConfig, part: str, targets: list[str], only: str = ""
) -> list[tuple[str, str, str]]:
    """Runs as (target, system, kind): each target by both servers in turn, then one that
    talks to each, then the soak.

    ``targets`` and ``only`` (a system) leave out the others but for the soak where they are not
    empty.

    Raises:
        LoadError: a name is none of the targets.
    """
    known = [target.name for target in config.targets]
    if unknown := set(targets) - set(known):
        raise LoadError(f"--target {min(unknown)!r}: expected one of {', '.join(known)}")
    runs = []
    chosen = [target for target in config.targets if not targets or target.name in targets]
    if part in ("all", RAMP):
        for target in chosen:
            systems = (CONTINUOUS, NAIVE) if target.naive else (CONTINUOUS,)
            runs += [(target.name, system, RAMP) for system in systems if only in ("", system)]
    if part in ("all", TALK) and only != NAIVE:
        runs += [(target.name, CONTINUOUS, TALK) for target in chosen]
    if part in ("all", SOAK) and config.soak_seconds:
        runs.append((config.gates.target, CONTINUOUS, SOAK))
    return runs


def run(config: LoadConfig, runs: list[tuple[str, str, str]], folder: Path, path: Path) -> None:
    """Make ``runs``, keep them in ``folder``, and write the report.

    Raises:
        LoadError: a run could not be made.
        GateError: a gate is not kept; the report is written first.
    """
    known = {target.name: target for target in config.targets}
    for name, system, kind in runs:
        print(f"{name}, {system}, {kind} …", file=sys.stderr, flush=True)
        measure(config, known[name], system, kind).save(folder)
    kept = load_runs(folder)
    if not kept:
        raise LoadError(f"{folder}: found no run, expected some; begin with `ramp`")
    judged = report(path, kept, config)
    for verdict in judged:
        print(f"{verdict.verdict}: {verdict.describe()}")
    enforce(judged, str(path.with_suffix(".md")), CONFIG)


@command("load")
def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Load the server with users and report.")
    parser.add_argument("part", nargs="?", choices=PARTS, default="all")
    parser.add_argument(
        "--target", action="append", default=[], help="only this one's ramps and talks"
    )
    parser.add_argument("--system", choices=SYSTEMS, default="both", help="of the ramps")
    parser.add_argument("--soak-seconds", type=float, help="0 leaves the soak out")
    parser.add_argument("--config", type=Path, default=Path("conf/load/default.yaml"))
    parser.add_argument("--runs", type=Path, default=Path("build/load"))
    parser.add_argument("--report", type=Path, default=Path("reports/load.json"))
    options = parser.parse_args(arguments)
    config = parse_strictly(read_yaml(options.config), LoadConfig)
    if options.soak_seconds is not None:
        config = dataclasses.replace(config, soak_seconds=options.soak_seconds)
    runs = plan(config, options.part, options.target, SYSTEMS[options.system])
    if options.part == "all":
        shutil.rmtree(options.runs, ignore_errors=True)
    run(config, runs, options.runs, options.report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
