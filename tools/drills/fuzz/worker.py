"""Feeds one reader in this process; the campaign starts ``python -m tools.drills.fuzz.worker``."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path
from random import Random

from tools.drills.fuzz.ledger import Ledger
from tools.drills.fuzz.mutations import MAX_BYTES, mutate_bytes
from tools.drills.fuzz.reader import Prepared, Reader
from tools.drills.fuzz.trial import Failure, Trial, shrink


def mutated(reader: Reader, prepared: Prepared, seed: int, index: int) -> bytes:
    """Input number ``index``: a seed changed one to three times, four in five by the format."""
    random = Random(f"{seed} {index}")
    data = random.choice(prepared.seeds)
    mutate = mutate_bytes if random.random() < 0.2 else reader.mutate
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        data = mutate(data, random)
    return data[:MAX_BYTES]


def save_failure(folder: Path, data: bytes, failure: Failure) -> None:
    """Write an input and what it did, unless a smaller one of the same failure is there."""
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(failure.signature.encode()).hexdigest()[:12]
    kept = folder / f"{name}.input"
    if not kept.exists() or kept.stat().st_size > len(data):
        kept.write_bytes(data)
        (folder / f"{name}.txt").write_text(f"{failure.signature}\n\n{failure.detail}\n", "utf-8")


class Search:
    """Gives inputs to a trial and saves each new failure, made small."""

    def __init__(self, trial: Trial, failures: Path) -> None:
        self._trial, self._failures = trial, failures
        self._known: set[str] = set()

    def __call__(self, data: bytes) -> None:
        failure = self._trial(data[:MAX_BYTES])
        if failure is not None and failure.signature not in self._known:
            self._known.add(failure.signature)
            small = shrink(data, failure.signature, self._trial.run)
            save_failure(self._failures, small, self._trial.run(small) or failure)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser()
    parser.add_argument("reader")
    parser.add_argument("folder", type=Path)
    parser.add_argument("failures", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--inputs", type=int, required=True)
    parser.add_argument("--guided", action="store_true")
    options = parser.parse_args()
    if options.guided:
        from tools.drills.fuzz.guided import instrument

        instrument()
    from tools.drills.fuzz.readers import ALL

    reader = ALL[options.reader]
    # Panics of native libraries print there, once for each input.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    ledger = Ledger(options.folder / "ledger")
    work = options.folder / f"work-{options.start}"
    work.mkdir()
    prepared = reader.prepare(work)
    trial = Trial(reader, prepared, ledger)
    search = Search(trial, options.failures)
    trial.limit_memory()
    if options.guided:
        from tools.drills.fuzz.guided import breed

        breed(reader, prepared, search, options.inputs, options.seed, work)
    for index in range(options.start, options.inputs):
        search(mutated(reader, prepared, options.seed, index))
    # ONNX Runtime and other native libraries have nothing to save.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
