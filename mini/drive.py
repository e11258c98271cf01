"""All steps one after another, over and over, ``python -m mini.drive``.

Each round gives every step some minutes, so that a whole checkpoint exists early and gets better
with every round.  Whatever stops it, the same command goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mini.speech import SHARD_SIZE
from mini.trainer import default_threads
from mini.workspace import load_state, work_folder

SENTENCES = 6000
# enough different speech for the DVAE, so that the GPT need not wait for all of it
FIRST_SENTENCES = 1000
STEPS = {"dvae": 3000, "vocos": 9000, "gpt": 12000, "decoder": 6000}


@dataclass(frozen=True)
class Step:
    """One command of a round."""

    module: str
    options: tuple[str, ...] = ()


def trained_steps(work: Path, name: str) -> int:
    """Return how many steps a module has been trained."""
    state = load_state(work / "state" / f"{name}.pt")
    return 0 if state is None else int(state["step"])


def next_round(work: Path, minutes: float) -> list[Step]:
    """Return what the next round does.

    The DVAE is trained to its end before anything uses its codes: with another DVAE all codes
    change, and the GPT would start again.
    """
    done = {name: trained_steps(work, name) for name in STEPS}
    shards = len(list((work / "speech").glob("train-*.npz")))
    steps: list[Step] = []
    if shards * SHARD_SIZE < FIRST_SENTENCES:
        steps.append(Step("mini.synthesize", ("--sentences", str(FIRST_SENTENCES))))
    if done["dvae"] < STEPS["dvae"] and not (work / "features").exists():
        return [*steps, _training("dvae", 1e9)]
    if shards * SHARD_SIZE < SENTENCES:
        steps.append(Step("mini.synthesize", ("--sentences", str(SENTENCES))))
    steps.append(Step("mini.extract"))
    steps += [
        _training(name, minutes * share)
        for name, share in (("vocos", 0.5), ("gpt", 1.0), ("decoder", 0.5))
        if done[name] < STEPS[name]
    ]
    return [*steps, Step("mini.export"), Step("mini.evaluate")]


def _training(name: str, minutes: float) -> Step:
    options = ("--steps", str(STEPS[name]), "--minutes", f"{minutes:g}")
    return Step(f"mini.train_{name}", options)


def finished(work: Path) -> bool:
    """Whether everything has been trained for all its steps.

    The DVAE counts as done once codes were extracted with it, even if that was early.
    """
    later = (name for name in STEPS if name != "dvae")
    return all(trained_steps(work, name) >= STEPS[name] for name in later)


def main() -> None:
    """Run rounds until all is trained or the hours are over."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--hours", type=float, default=12.0)
    parser.add_argument("--minutes", type=float, default=20.0, help="of GPT training in a round")
    arguments = parser.parse_args()
    work = work_folder(arguments.work)
    environment = os.environ | {
        "MINI_WORK": str(work),
        "OMP_NUM_THREADS": str(default_threads()),
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
    }
    begin = time.monotonic()
    while not finished(work) and time.monotonic() - begin < 3600 * arguments.hours:
        for step in next_round(work, arguments.minutes):
            print(time.strftime("%H:%M:%S"), step.module, *step.options, flush=True)
            subprocess.run(
                [sys.executable, "-m", step.module, *step.options], check=True, env=environment
            )


if __name__ == "__main__":
    main()
