"""All steps one after another, over and over, ``python -m mini.drive``.

Each round gives every step some minutes, so that a whole checkpoint exists early and gets better
with every round, and more speech is made between.  Whatever stops it, the same command goes on
where it was.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mini.features import FIRST_TAUGHT
from mini.trainer import default_threads
from mini.workspace import load_state, work_folder

# shards of speech before anything is trained, in the end, and more in each round
SPEECH_FIRST, SPEECH, SPEECH_MORE = 10, 60, 2
# shards of features without audio, likewise
TAUGHT_FIRST, TAUGHT, TAUGHT_MORE = 24, 600, 16
STEPS = {"dvae": 3500, "student": 2000, "vocos": 20_000, "gpt": 60_000, "decoder": 20_000}
# what follows the codes, and its share of a round's minutes
SHARES = {"gpt": 1.0, "decoder": 0.2, "vocos": 0.2}


@dataclass(frozen=True)
class Step:
    """One command of a round."""

    module: str
    options: tuple[str, ...] = ()


def trained_steps(work: Path, name: str) -> int:
    """Return how many steps a module has been trained."""
    state = load_state(work / "state" / f"{name}.pt")
    return 0 if state is None else int(state["step"])


def shards(work: Path) -> tuple[int, int]:
    """Return how many training shards there are, of speech and of features without audio."""
    taught = sum(
        int(path.stem.rpartition("-")[2]) >= FIRST_TAUGHT
        for path in (work / "features").glob("train-*.npz")
    )
    return len(list((work / "speech").glob("train-*.npz"))), taught


def next_round(work: Path, minutes: float) -> Iterator[Step]:
    """Yield what the next round does.

    The DVAE is trained to its end before anything uses its codes: with another DVAE all codes
    change, and the GPT would start again.
    """
    said, taught = shards(work)
    if said < SPEECH_FIRST:
        yield Step("mini.synthesize", ("--shards", str(SPEECH_FIRST)))
    for name in ("dvae", "student"):
        if trained_steps(work, name) < STEPS[name]:
            yield _training(name, 1e9)
    if said >= SPEECH_FIRST and taught >= TAUGHT_FIRST and said < SPEECH:
        yield Step("mini.synthesize", ("--shards", str(said + SPEECH_MORE)))
    yield Step("mini.extract")
    wanted = min(max(TAUGHT_FIRST, taught + TAUGHT_MORE), TAUGHT)
    if taught < wanted:
        yield Step("mini.teach", ("--shards", str(wanted)))
    for name, share in SHARES.items():
        if trained_steps(work, name) < STEPS[name]:
            yield _training(name, minutes * share)
    yield Step("mini.export")
    yield Step("mini.evaluate")


def _training(name: str, minutes: float) -> Step:
    options = ("--steps", str(STEPS[name]), "--minutes", f"{minutes:g}")
    return Step(f"mini.train_{name}", options)


def finished(work: Path) -> bool:
    """Whether everything has been trained for all its steps."""
    return all(trained_steps(work, name) >= steps for name, steps in STEPS.items())


def main() -> None:
    """Run rounds until all is trained or the hours are over."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--hours", type=float, default=1e6)
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
