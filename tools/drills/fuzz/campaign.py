"""Runs workers, sees to it that a dead or hanging one is followed by another, and counts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tools.drills.fuzz.ledger import Ledger
from tools.drills.fuzz.reader import Reader
from tools.drills.fuzz.trial import Failure
from tools.drills.fuzz.worker import save_failure

_POLL_SECONDS = 0.5
# Native code does not see the worker's own limit.  CPU time, since the machine may be busy; who
# waits for ever uses none.
_HANG_CPU_SECONDS = 60.0
_HANG_SECONDS = 3600.0
_COVERAGE = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")
_STARTS = 20
# Inputs are written there, if it is to be had, so that no disk sets the pace.
_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Tally:
    """What came of a reader's inputs.

    Attributes:
        mutated, guided: inputs given, by how they were made.
        refused: inputs of both that gave a named error.
        slowest: CPU seconds of the slowest input.
        growth: bytes that the process grew by.
        branches: of this project, reached by the guided inputs.
        failures: signatures of what broke a promise.
    """

    mutated: int
    guided: int
    refused: int
    slowest: float
    growth: int
    branches: int
    failures: tuple[str, ...]


def attack(reader: Reader, inputs: int, guided: int, seed: int, failures: Path) -> Tally:
    """Give a reader ``inputs`` mutated inputs and ``guided`` bred ones, in processes of their own.

    Failures are saved below ``failures``, of each kind the smallest input; those of an earlier run
    are removed.
    """
    shutil.rmtree(failures, ignore_errors=True)
    memory = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory) as folder:
        plain = _run(reader, inputs, seed, False, Path(folder) / "plain", failures)
        bred = _run(reader, guided, seed, True, Path(folder) / "guided", failures)
    found = sorted(path.read_text("utf-8").split("\n")[0] for path in failures.glob("*.txt"))
    return Tally(
        mutated=plain[0]["tried"],
        guided=bred[0]["tried"],
        refused=plain[0]["refused"] + bred[0]["refused"],
        slowest=max(plain[0]["microseconds"], bred[0]["microseconds"]) / 1e6,
        growth=max(plain[0]["kilobytes"], bred[0]["kilobytes"]) * 1024,
        branches=bred[1],
        failures=tuple(found),
    )


def _run(
    reader: Reader, inputs: int, seed: int, guided: bool, folder: Path, failures: Path
) -> tuple[Ledger, int]:
    """One kind of inputs to their end; the ledger and the branches reached."""
    folder.mkdir()
    ledger, branches = Ledger(folder / "ledger"), 0
    for attempt in range(_STARTS):
        if ledger["tried"] >= inputs:
            break
        log = folder / f"log-{attempt}"
        command = [sys.executable, "-m", "tools.drills.fuzz.worker", reader.name, folder, failures]
        # A bred population does not survive its process: the next one begins with other numbers.
        left = inputs - ledger["tried"] if guided else inputs
        command += ["--seed", str(seed + (attempt if guided else 0)), "--inputs", str(left)]
        command += ["--start", str(ledger["tried"])] + ["--guided"] * guided
        with log.open("wb") as sink:
            process = subprocess.Popen(list(map(str, command)), stderr=sink)
        status = _watch(process, ledger)
        text = log.read_text("utf-8", "replace")
        branches = max([branches, *(int(match[1]) for match in _COVERAGE.finditer(text))])
        if status == 0:
            break
        detail = f"status {status} ({'bred' if guided else 'mutated'})"
        save_failure(failures, ledger.current, Failure(f"the process died: {status}", detail))
        (failures / "stderr.log").write_text(text[-4000:], "utf-8")
    return ledger, branches


def _watch(process: subprocess.Popen[bytes], ledger: Ledger) -> int:
    """The exit status of a worker; -9 for one that was ended because an input hung."""
    seen, since, spent = -1, 0.0, 0.0
    while True:
        try:
            return process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        with suppress(psutil.NoSuchProcess):
            cpu = sum(psutil.Process(process.pid).cpu_times()[:2])
            if ledger["tried"] != seen:
                seen, since, spent = ledger["tried"], time.monotonic(), cpu
            elif cpu - spent > _HANG_CPU_SECONDS or time.monotonic() - since > _HANG_SECONDS:
                process.kill()
                return process.wait()
