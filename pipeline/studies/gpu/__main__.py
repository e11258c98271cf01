"""``python -m pipeline.studies.gpu --out DIR``: proof, fidelity and speed on a CUDA machine.

Makes the bundles it needs (or takes those that ``--work`` holds), then runs every measurement in a
process of its own, in order of value.  The report is written anew after each, so that whatever
ends the run leaves what was measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.core.command import command
from pipeline.core.errors import ConfigError
from pipeline.studies.gpu import report
from pipeline.studies.gpu.plan import Task, builds, measurements
from pipeline.studies.gpu.runner import FAILED, LOG, SKIPPED, STOPPED, Outcome, Runner
from pipeline.studies.gpu.setup import QUICK, Setup, Size

KEPT_REPORTS = ("reports", "gpu")


def check(
    out: Path,
    setups: Sequence[Setup],
    budget: float,
    only: Sequence[str] = (),
    runner: Runner | None = None,
) -> list[Outcome]:
    """Build and measure every checkpoint of ``setups``; returns how each task ended.

    Raises:
        ConfigError: a rehearsal was to overwrite the reports of a GPU.
    """
    rehearsed = any(setup.device == "cpu" for setup in setups)
    if rehearsed and out.resolve().parts[-2:] == KEPT_REPORTS:
        raise ConfigError(f"{out}: found a rehearsal on the CPU, expected another --out for it.")
    out.mkdir(parents=True, exist_ok=True)
    (out / LOG).unlink(missing_ok=True)
    runner = runner or Runner(out, budget)
    for setup in setups:
        for group in builds():
            # What earlier runs or others made is taken as it is.
            missing = [t for t in group if not setup.bundle(t.arguments[0]["variant"]).exists()]
            _log(runner.run(setup, missing))
        for task in measurements(setup.device):
            if only and not _matches(task, only):
                continue
            if all(setup.bundle(name).exists() for name in task.needs):
                _log(runner.run(setup, [task]))
                report.write(out, setups, runner)
            else:
                runner.outcomes.append(Outcome(task.name, SKIPPED, 0.0))
    report.write(out, setups, runner)
    return runner.outcomes


def _matches(task: Task, only: Sequence[str]) -> bool:
    return any(task.name == name or task.name.startswith(f"{name}:") for name in only)


def _log(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        print(f"{outcome.seconds:7.1f} s  {outcome.status:8}{outcome.task}", flush=True)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.studies.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="few steps: tries the check itself")
    parser.add_argument("--checkpoints", default="", help="names in conf/checkpoint, or smoke")
    parser.add_argument("--work", type=Path, default=Path("workspaces/gpu"), help="bundles' folder")
    parser.add_argument("--budget", type=float, default=3600, help="seconds for everything")
    parser.add_argument("--only", default="", help="tasks or their first words, such as benchmark")
    parser.add_argument("--list", action="store_true", help="name the tasks and stop")
    return parser.parse_args(arguments)


@command("gpu")
def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; exit status 2 for a named error, 1 where a task failed."""
    options = parse(arguments)
    if options.list:
        print("\n".join(task.name for task in measurements(options.device)))
        return 0
    size = QUICK if options.quick else Size()
    names = options.checkpoints or ("smoke" if options.quick else "seeded_full,mini")
    work = options.work.resolve()
    setups = [Setup(options.device, work, name, size) for name in names.split(",")]
    only = [name for name in options.only.split(",") if name]
    outcomes = check(options.out, setups, options.budget, only)
    return int(any(outcome.status in (FAILED, STOPPED) for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
