"""``dvc repro`` that goes on after DVC itself was killed: ``python -m pipeline.repro [options]``.

DVC writes ``dvc.lock`` and its list of who reads and writes what, ``.dvc/tmp/rwlock``, in place.  A
kill in that moment leaves half a file, and from then on every command of DVC 3.67 fails, until
someone removes it by hand.  Here both are looked at first.  Options are those of ``dvc repro``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import yaml
from dvc.exceptions import NotDvcRepoError
from dvc.lock import Lock
from dvc.repo import Repo
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK
from dvc.rwlock import SCHEMA as RWLOCK_SCHEMA
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from voluptuous import Invalid

from pipeline.core.atomic import write_json, write_text
from pipeline.core.command import command
from pipeline.core.errors import ConcurrencyError
from pipeline.core.source import ORIGIN, read_source

STAGES_LOCK = "dvc.lock"


@command("repro", NotDvcRepoError)
def main(arguments: list[str]) -> int:
    """Entry point; exit status that of ``dvc repro``, or 2 for an error of our own."""
    for told in mend(Path.cwd()):
        print(told, file=sys.stderr)
    source = str(read_source(Path.cwd()))
    status = subprocess.call([sys.executable, "-m", "dvc", "repro", *arguments])
    if status == 0:
        # What DVC skipped was made by code that differs in nothing that it depends on.
        write_json(Path.cwd() / ORIGIN, {"commit": source})
    return status


def mend(folder: Path) -> list[str]:
    """Replace what a kill left half-written of DVC's own files; a line for each.

    Raises:
        ConcurrencyError: DVC is at work in ``folder``, that of ``dvc.yaml``.
    """
    place = Path(Repo.find_root(str(folder))) / ".dvc" / "tmp"
    place.mkdir(exist_ok=True)
    rwlock, stages, told = place / RWLOCK_FILE, folder / STAGES_LOCK, []
    # Who writes either holds its lock, so that a file in the making is not taken for a torn one.
    with Lock(str(place / "lock"), wait=True), Lock(str(place / RWLOCK_LOCK), wait=True):
        if _torn(rwlock, lambda text: RWLOCK_SCHEMA(json.loads(text))):
            _refuse_if_at_work(rwlock.read_text(encoding="utf-8", errors="replace"))
            rwlock.unlink()
            told.append(f"{rwlock}: a kill cut it short; none of its processes is alive, removed")
        if _torn(stages, lambda text: COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(text))):
            told.append(f"{stages}: a kill cut it short; {_restored(stages)}")
    return told


def _torn(path: Path, read: Callable[[str], object]) -> bool:
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    # Both sides of a merge are for people to choose from.
    if "\n<<<<<<< " in f"\n{text}":
        return False
    try:
        read(text)
    except (ValueError, yaml.YAMLError, Invalid):
        return True
    return False


def _restored(path: Path) -> str:
    committed = subprocess.run(
        ["git", "show", f"HEAD:./{path.name}"], cwd=path.parent, capture_output=True, text=True
    )
    if committed.returncode:
        path.unlink()
        return "removed, none is committed"
    write_text(path, committed.stdout)
    return "the committed one is taken"


def _refuse_if_at_work(rwlock: str) -> None:
    """Half a list tells no longer what is locked, but still who may be at work."""
    for number in {int(found) for found in re.findall(r'"pid": (\d+)', rwlock)}:
        try:
            command = " ".join(psutil.Process(number).cmdline())
        except psutil.Error:
            continue
        # Others may have got the number of a process that is gone.
        if "dvc" in command:
            raise ConcurrencyError(
                f"{RWLOCK_FILE} is damaged while process {number} runs {command}"
            )


if __name__ == "__main__":
    # As DVC finds its commands: tools of this environment first.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    sys.exit(main(sys.argv[1:]))
