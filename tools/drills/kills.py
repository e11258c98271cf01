"""Kill every stage and the server at random moments, and resume: ``python -m tools.drills.kills``.

Works in two clones of what is committed: ``mini`` as users run it, and ``smoke`` (two layers of
random weights, ``experiment=smoke``) for the stages that take minutes on ``mini``.  How often each
one is killed goes by how long it takes, so that the whole ends in half an hour.  A drill that was
stopped goes on where it was: the clones, the reference and the rounds so far are kept.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.core.command import command
from pipeline.search.journal import Journal
from tools.drills.kill_rounds import kill_round
from tools.drills.project import clone, commit_of, cores_only, stages
from tools.drills.record import Promise, conclude
from tools.drills.reference import mend, references
from tools.drills.serving_kills import SERVER, serving_reference, serving_round

SCRATCH = Path("workspaces/drills")
OVERRIDES: dict[str, list[str]] = {"mini": [], "smoke": ["experiment=smoke"]}
# In the order of dvc.yaml; `export` of mini is made once, for those after it.
STAGES = {
    "mini": [
        *("checkpoint", "fuse", "calibrate"),
        *("quantize@fp16", "quantize@int8", "quantize@w8", "quantize@w4", "tradeoff", "release"),
    ],
    "smoke": ["export", "sensitivity", "validate", "speech", "benchmark", "track"],
}
NEEDED = {"mini": ["checkpoint", "export", *STAGES["mini"][1:]]}
# The last digits of some reports go by the number of threads; one core is there whoever else works.
CORES = 1
# Rounds of the slowest, whatever its speed would give it.
FEWEST = 3
SERVED = 20


@command("drills")
def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit status 1 when a promise was broken, 2 for an error."""
    parser = argparse.ArgumentParser(prog="python -m tools.drills.kills", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cores", type=int, default=CORES, help="how many to use (%(default)s)")
    parser.add_argument("--scratch", type=Path, default=SCRATCH)
    options = parser.parse_args(arguments)
    with cores_only(options.cores):
        entries = drill(options.scratch.absolute(), options.rounds, options.seed)
    return conclude("kills", promises(entries, options.rounds, options.seed))


def drill(scratch: Path, rounds: int, seed: int) -> list[dict[str, Any]]:
    """Carry the rounds out, or those that are missing; return what each one found."""
    folders = {name: scratch / name for name in OVERRIDES}
    for name, folder in folders.items():
        if not (folder / "dvc.yaml").is_file():
            clone(folder, OVERRIDES[name])
    known = {
        name: references(folder, NEEDED.get(name, stages(folder)))
        for name, folder in folders.items()
    }
    served = serving_reference(folders["mini"])
    seconds = {
        (kind, stage): known[kind][stage].seconds
        for kind, names in STAGES.items()
        for stage in names
    }
    plan = make_plan(seconds, rounds, seed)
    commit = commit_of(folders["mini"])
    journal = Journal(scratch / "rounds.jsonl", {"commit": commit, "rounds": rounds, "seed": seed})
    for kind, folder in folders.items():
        mend(folder, known[kind])
    for number, (kind, stage) in enumerate(plan, 1):
        draw = random.Random(f"{seed}/{number}").random
        if stage == SERVER:
            attempt = partial(serving_round, folders[kind], served, draw)
        else:
            attempt = partial(kill_round, folders[kind], stage, known[kind][stage], draw)
        print(json.dumps(journal.get(f"{number} {kind} {stage}", attempt)), flush=True)
    return journal.entries


def make_plan(
    seconds: dict[tuple[str, str], float], rounds: int, seed: int
) -> list[tuple[str, str]]:
    """``rounds`` stages in random order, quick ones more often than in proportion, and the server
    once in :data:`SERVED`."""
    server = [("mini", SERVER)] * (rounds // SERVED)
    rounds -= len(server)
    speed = {key: value**-2.0 for key, value in seconds.items()}
    spare = max(0, rounds - FEWEST * len(speed))
    plan = [key for key in speed for _ in range(FEWEST)]
    total = sum(speed.values())
    for key, value in speed.items():
        plan += [key] * int(spare * value / total)
    quick = sorted(speed, key=lambda key: -speed[key])
    plan += [quick[index % len(quick)] for index in range(max(0, rounds - len(plan)))]
    plan = plan[:rounds] + server
    random.Random(seed).shuffle(plan)
    return plan


def promises(entries: Sequence[dict[str, Any]], rounds: int, seed: int) -> list[Promise]:
    """The rows of the record."""
    counts = Counter(f"{entry['key'].split()[1]} {entry['stage']}" for entry in entries)
    told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    command = f"`python -m tools.drills.kills --rounds {rounds} --seed {seed}`"
    staged = [entry for entry in entries if entry["stage"] != SERVER]
    served = [entry for entry in entries if entry["stage"] == SERVER]
    inside = sum(bool(entry["in_scratch"]) for entry in staged)
    seen = sum(bool(entry["visible"]) for entry in staged)
    torn = sum(bool(entry.get("mended")) for entry in staged)
    return [
        Promise(
            "faults",
            "A stage that is killed leaves no half-written output, and a rerun ends in the bytes "
            "of an undisturbed run.",
            f"{command}: SIGKILL to the process group of `dvc repro` at a random moment of its "
            "usual time, then `python -m pipeline.repro`, as `make repro` does; stages that take "
            "minutes on `mini` with `experiment=smoke`",
            len(staged),
            "kills",
            sum(bool(entry["broken"]) for entry in staged),
            f"{told}; {inside} in the midst of writing, {seen} with outputs finished but not yet "
            f"noted by DVC, {torn} with a file of DVC's own cut short, which was mended."
            f"{_told(staged)}",
        ),
        Promise(
            "faults",
            "A server that is killed leaves its bundle as it was, and says the same after a start.",
            f"{command}: SIGKILL while it starts, streams or works on a batch job",
            len(served),
            "kills",
            sum(bool(entry["broken"]) for entry in served),
            "No archive of a job is seen before it is whole; jobs under way are lost, as their "
            f"clients see.{_told(served)}",
        ),
    ]


def _told(entries: Sequence[dict[str, Any]]) -> str:
    found = sorted({problem for entry in entries for problem in entry["broken"]})
    return f" Broken: {'; '.join(found)[:600]}." if found else ""


if __name__ == "__main__":
    sys.exit(main())
