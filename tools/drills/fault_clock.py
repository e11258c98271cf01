"""Stages and the server while the system's clock is wrong or jumps."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.drills.attempts import Attempts
from tools.drills.project import DrillError, dvc, forget, stages
from tools.drills.reference import Reference, differences, temporary
from tools.drills.serving_kills import Served, speak_and_work, started_server

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
# 1980 is the first year of zip files, 2038 the last of 32-bit clocks.
CLOCKS = ("@1971-03-01 00:00:00", "@2041-03-01 00:00:00")
# A clock that goes back an hour, then forward a day, and so on, while something runs.
_JUMPS = ("-3600", "+86400", "-31536000", "+0")
_EVERY_SECONDS = 0.5


def wrong_clock(
    clone: Path, known: Mapping[str, Reference], names: Sequence[str], library: Path
) -> Attempts:
    """Each stage with clocks that are wrong from the start, and with one that jumps."""
    attempts = Attempts(
        "No output depends on the system's clock, whether it is wrong or jumps.",
        "libfaketime: years 1971 and 2041, and a clock that jumps back and forth twice a second",
        "runs of stages",
    )
    for name in names:
        for clock in (*CLOCKS, "jumps"):
            forget(clone, name, stages(clone)[name])
            with _faked(clone, library, clock) as extra:
                try:
                    dvc(clone, "repro", "--single-item", name, extra=extra)
                    problems = differences(clone, known[name])
                except DrillError as error:
                    problems = [str(error)[-300:]]
            attempts.add(clock.strip("@").partition(" ")[0], [f"{name}: {p}" for p in problems])
    return attempts


def wrong_clock_serving(clone: Path, wanted: Served, library: Path) -> Attempts:
    """The server under the same clocks: same bytes, no timeout, no job lost."""
    attempts = Attempts(
        "The server keeps its deadlines and jobs whatever the system's clock does.",
        "libfaketime, as for the stages, while it speaks and works on a batch job",
        "servers",
    )
    for clock in (*CLOCKS, "jumps"):
        problems = []
        with _faked(clone, library, clock) as extra:
            try:
                with started_server(clone, extra) as address:
                    if speak_and_work(address) != (wanted.speech, wanted.job):
                        problems.append("other bytes")
            except DrillError as error:
                problems.append(str(error)[-300:])
        attempts.add(clock.strip("@").partition(" ")[0], problems)
    return attempts


@contextmanager
def _faked(folder: Path, library: Path, clock: str) -> Iterator[dict[str, str]]:
    """What a process needs in its environment to see a clock; the monotonic one stays right."""
    if not library.is_file():
        raise DrillError(f"{library}: found no libfaketime; install it or give --faketime")
    extra = {"LD_PRELOAD": str(library), "DONT_FAKE_MONOTONIC": "1", **temporary(folder)}
    if clock != "jumps":
        yield {**extra, "FAKETIME": clock}
        return
    path, over = folder / ".dvc/tmp/clock", threading.Event()
    path.write_text(_JUMPS[0])

    def jump() -> None:
        turn = 0
        while not over.wait(_EVERY_SECONDS):
            turn += 1
            path.write_text(_JUMPS[turn % len(_JUMPS)])

    thread = threading.Thread(target=jump)
    thread.start()
    try:
        yield {**extra, "FAKETIME_TIMESTAMP_FILE": str(path), "FAKETIME_NO_CACHE": "1"}
    finally:
        over.set()
        thread.join()


def fakes(library: Path) -> bool:
    """Whether the library works here: a process that is told it is 1971 says so."""
    if not library.is_file():
        return False
    command = [sys.executable, "-c", "import time; print(time.gmtime().tm_year)"]
    extra = {"LD_PRELOAD": str(library), "FAKETIME": CLOCKS[0]}
    done = subprocess.run(command, env=extra, capture_output=True, text=True)
    return done.stdout.strip() == str(time.strptime(CLOCKS[0][1:5], "%Y").tm_year)
