"""The compiled step under sanitizers: ``python -m tools.drills.native``.

Builds ``native/tests/fuzz.cpp`` with AddressSanitizer and UndefinedBehaviorSanitizer, with
ThreadSanitizer, and, where a cross compiler and qemu are there, for Arm; and runs each.
"""

from __future__ import annotations

import argparse
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tools.drills.record import FOLDER, Promise, conclude

SOURCE = Path(__file__).resolve().parents[2] / "native"
SUMMARY = re.compile(r"(\d+) models, (\d+) steps, every position as alone; (.*)")
ARM_COMPILER, ARM_MACHINE = "aarch64-linux-gnu-g++", "qemu-aarch64"

PROMISE = (
    "A row of the compiled step gives the same bits whatever batch, threads and instruction set, "
    "and wrong calls are refused"
)


@dataclass(frozen=True)
class Build:
    """One way to compile the program, and what starts it."""

    name: str
    options: tuple[str, ...] = ()
    launcher: tuple[str, ...] = field(default=())


SANITIZERS = (
    Build("AddressSanitizer and UBSan", ("-DSANITIZE=address,undefined",)),
    Build("ThreadSanitizer", ("-DSANITIZE=thread",)),
)
ARM = Build(
    "Arm in qemu",
    (
        f"-DCMAKE_CXX_COMPILER={ARM_COMPILER}",
        "-DCMAKE_SYSTEM_NAME=Linux",
        "-DCMAKE_SYSTEM_PROCESSOR=aarch64",
        "-DCMAKE_EXE_LINKER_FLAGS=-static",
    ),
    (ARM_MACHINE, "-cpu", "max"),
)


def builds() -> Iterator[Build]:
    """What this machine can compile and run."""
    yield from SANITIZERS
    foreign = platform.machine() != "aarch64"
    if foreign and shutil.which(ARM_COMPILER) and shutil.which(ARM_MACHINE):
        yield ARM


def compile_program(build: Build, folder: Path) -> Path:
    """The program, compiled; raises ``CalledProcessError``."""
    configure = ["cmake", "-S", str(SOURCE), "-B", str(folder), "-DFUZZ=ON", *build.options]
    for command in (configure, ["cmake", "--build", str(folder), "--parallel", "2"]):
        subprocess.run(command, check=True, capture_output=True, text=True)
    return folder / "fuzz"


def run(build: Build, seconds: float, seed: int) -> Promise:
    """Compile and run one build."""
    with tempfile.TemporaryDirectory() as folder:
        program = compile_program(build, Path(folder))
        command = [*build.launcher, str(program), str(seconds), str(seed)]
        done = subprocess.run(command, capture_output=True, text=True)
    found = SUMMARY.search(done.stdout)
    whole = done.returncode == 0 and found is not None
    models, steps, instructions = found.groups() if found else ("0", "0", "")
    output = (done.stdout + done.stderr).strip().splitlines()
    result = f"{int(models):,} models; {instructions}" if whole else " ".join(output[:4])
    return Promise(
        "numbers",
        PROMISE,
        f"`python -m tools.drills.native`: {build.name}; random models, ragged batches that rows "
        "join, leave and move in, calls out of range; against plain C++ for each row alone",
        int(steps),
        "steps",
        int(not whole),
        result,
    )


def main() -> int:
    """Entry point; exit status 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tools.drills.native", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="for each build")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--records", type=Path, default=FOLDER)
    options = parser.parse_args()
    rows = [run(build, options.seconds, options.seed) for build in builds()]
    return conclude("native", rows, options.records)


if __name__ == "__main__":
    sys.exit(main())
