"""Programs that take the place of others while pages are run.

``make`` would run the pipeline for minutes: its target and variables have to exist, and a dry run
to succeed.  ``pip`` would change the environment: the extras it is asked for have to exist.
``aplay`` listens and plays nothing.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("make", "pip", "aplay")
_REAL = "REAL_MAKE"


def install(folder: Path, real_make: str) -> Path:
    """Write a script of each name into ``folder``."""
    folder.mkdir(parents=True)
    for name in NAMES:
        script = folder / name
        command = shlex.join([sys.executable, str(Path(__file__)), name])
        script.write_text(
            f'#!/bin/sh\nexport {_REAL}={shlex.quote(real_make)}\nexec {command} "$@"\n'
        )
        script.chmod(0o755)
    return folder


def make(arguments: list[str]) -> str:
    """What is wrong with a call of make; empty where nothing is."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    known = set(re.findall(r"\$\((?:or \$\(|if \$\()?([A-Z_]+)", makefile))
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if equals and name not in known:
            return f"no variable {name}"
        if not equals and name not in targets:
            return f"no target {name}"
    real = os.environ.get(_REAL, "make")
    command = [real, "--dry-run", "--file", str(ROOT / "Makefile"), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stderr if done.returncode else ""


def pip(arguments: list[str]) -> str:
    """What is wrong with a call of pip."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for argument in arguments:
        wanted = re.fullmatch(rf"{project['name']}\[([\w,]+)\]", argument)
        for extra in wanted[1].split(",") if wanted else ():
            if extra not in project["optional-dependencies"]:
                return f"no extra {extra}"
    return ""


def aplay(arguments: list[str]) -> str:
    """Nothing is wrong with silence, but for there being nothing to play."""
    return "" if sys.stdin.buffer.read() else "nothing to play"


def main() -> int:
    """Stand in for the program that the first argument names."""
    name, *arguments = sys.argv[1:]
    wrong = {"make": make, "pip": pip, "aplay": aplay}[name](arguments)
    if wrong:
        print(f"{name}: {wrong}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
