"""Stages on a disk that is full, read-only, or with too little memory."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tools.drills.attempts import Attempts
from tools.drills.project import (
    DrillError,
    call,
    digest,
    outputs,
    remove,
    stage_command,
    stages,
)
from tools.drills.reference import UNREPEATABLE, Reference, differences, half_written, scratch_of

# What a stage reads; the code is taken from the clone by PYTHONPATH.
READ = ("params.yaml", "dvc.yaml", "dvc.lock", "build", "bundles", "reports", "samples")
LINKED = ("calibration_data", "checkpoints")
_GROUP = Path("/sys/fs/cgroup/memory/chattts-drill")
_MIB = 1 << 20
_USER_ERROR = 2
# A database says it otherwise than a file.
PLACE_ERRORS = ("StorageError", "TrackingError")


@contextmanager
def small_disk(clone: Path, place: Path) -> Iterator[Path]:
    """A tmpfs of its own with what the stages of ``clone`` read; needs the rights to mount."""
    if place.is_mount():
        # of a drill that was stopped
        _sudo(["umount", str(place)])
    remove(place)
    place.mkdir(parents=True)
    sizes = sum(entry.stat().st_size for name in READ for entry in _files(clone / name))
    size = 4 * sizes + 64 * _MIB
    _sudo(["mount", "-t", "tmpfs", "-o", f"size={size}", "drill", str(place)])
    try:
        for name in READ:
            if (clone / name).is_dir():
                shutil.copytree(clone / name, place / name)
            elif (clone / name).exists():
                shutil.copy(clone / name, place / name)
        if (clone / "listen.html").exists():
            shutil.copy(clone / "listen.html", place)
        for name in LINKED:
            (place / name).symlink_to(clone / name)
        yield place
    finally:
        _sudo(["umount", str(place)])


def full_disk(
    clone: Path, place: Path, known: Mapping[str, Reference], names: Sequence[str], seed: int
) -> Attempts:
    """Each stage with room for a random part of what it writes, and then with room."""
    attempts = Attempts(
        "On a full disk a stage ends with a named error and leaves nothing half-written; with room "
        "again it ends in the bytes of an undisturbed run.",
        "a tmpfs with room for a random part of the outputs",
        "stages",
    )
    rng, filler = random.Random(seed), place / "filler"

    @contextmanager
    def spoilt(name: str) -> Iterator[None]:
        room = int(rng.random() * sum(_size(clone / path) for path in known[name].hashes))
        _fill(filler, room)
        yield
        filler.unlink()

    return _try_each(attempts, clone, place, known, names, spoilt)


def read_only(
    clone: Path, place: Path, known: Mapping[str, Reference], names: Sequence[str]
) -> Attempts:
    """Each stage on a disk that is mounted read-only, and then writable."""
    attempts = Attempts(
        "In a folder that may not be written a stage ends with a named error; once it may, it ends "
        "in the bytes of an undisturbed run.",
        "a tmpfs mounted read-only",
        "stages",
    )

    @contextmanager
    def spoilt(name: str) -> Iterator[None]:
        _sudo(["mount", "-o", "remount,ro", str(place)])
        yield
        _sudo(["mount", "-o", "remount,rw", str(place)])

    return _try_each(attempts, clone, place, known, names, spoilt)


def _try_each(
    attempts: Attempts,
    clone: Path,
    place: Path,
    known: Mapping[str, Reference],
    names: Sequence[str],
    spoilt: Callable[[str], AbstractContextManager[None]],
) -> Attempts:
    """Each stage on a disk that is ``spoilt``, then on one that is sound again."""
    with small_disk(clone, place):
        for name in names:
            _undo(place, clone, name)
            with spoilt(name):
                done = run_stage(clone, place, name)
                problems = judged(name, done, place, known[name], PLACE_ERRORS)
            attempts.add(_seen(done), problems + _again(clone, place, name, known[name]))
    return attempts


def little_memory(
    clone: Path, place: Path, known: Mapping[str, Reference], names: Sequence[str], seed: int
) -> Attempts:
    """Each stage in a memory cgroup of a random part of what it needs, and then without one."""
    attempts = Attempts(
        "A stage that runs out of memory leaves nothing half-written; with enough of it, it ends "
        "in the bytes of an undisturbed run.",
        "a memory cgroup with 10 to 90 % of the stage's peak",
        "stages",
    )
    rng = random.Random(seed)
    with small_disk(clone, place):
        for name in names:
            _undo(place, clone, name)
            problems = _again(clone, place, name, known[name])
            limit = int((0.1 + 0.8 * rng.random()) * _peak())
            _undo(place, clone, name)
            done = run_stage(clone, place, name, limit)
            problems += judged(name, done, place, known[name], ())
            problems += _again(clone, place, name, known[name])
            attempts.add(_seen(done), problems)
    _GROUP.rmdir()
    return attempts


def run_stage(
    clone: Path, place: Path, name: str, memory: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run a stage without DVC in ``place``, in a cgroup that counts its memory."""
    command = stage_command(clone, name)
    with _group(memory) as group:
        inside = f'echo $$ > {group}/cgroup.procs 2>/dev/null; exec "$@"'
        # Releases name the commit that they were made by.
        source = {"GIT_DIR": str(clone / ".git"), "GIT_WORK_TREE": str(clone), "COLUMNS": "400"}
        return call(clone, ["sh", "-c", inside, "sh", *command], place, source)


def judged(
    name: str,
    done: subprocess.CompletedProcess[str],
    place: Path,
    reference: Reference,
    errors: Sequence[str],
) -> list[str]:
    """What a stage that had to fail did wrong; one of ``errors`` it had to name, if there are."""
    seen = {path: digest(place / path) for path in reference.hashes}
    problems = [f"{name}: {problem}" for problem in half_written(place, reference, seen)]
    if not errors:
        return problems
    if done.returncode == 0 and not differences(place, reference):
        return problems
    named = any(error in done.stderr for error in errors)
    if done.returncode != _USER_ERROR or not named or "Traceback" in done.stderr:
        last = " ".join(done.stderr.strip().splitlines()[-1:])
        problems.append(f"{name}: status {done.returncode} and no named error ({last[:200]})")
    return problems


def _again(clone: Path, place: Path, name: str, reference: Reference) -> list[str]:
    done = run_stage(clone, place, name)
    if done.returncode:
        return [f"{name}: afterwards status {done.returncode} ({done.stderr.strip()[-200:]})"]
    problems = [f"{name}: {problem}" for problem in differences(place, reference)]
    for path in UNREPEATABLE.intersection(reference.hashes):
        # Other timings would change what later stages make of them.
        shutil.copy(clone / path, place / path)
    return problems + [f"{name}: {path.name} is left over" for path in scratch_of(place)]


def _seen(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode == 0:
        return "had enough"
    if done.returncode < 0 or done.returncode > 128:
        return "killed by the system"
    for line in done.stderr.splitlines():
        if "Error" in line and not line.startswith(" "):
            return next((word for word in line.replace(":", " ").split() if "Error" in word), line)
    return f"status {done.returncode}"


def _undo(place: Path, clone: Path, name: str) -> None:
    for path in outputs(stages(clone)[name]):
        remove(place / path)
    if name == "track":
        remove(place / "mlflow.db")
        remove(place / "mlruns")


def _fill(filler: Path, room: int) -> None:
    """Write zeros until only ``room`` bytes are left."""
    free = shutil.disk_usage(filler.parent).free
    with filler.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, max(1, free - room))


def _size(path: Path) -> int:
    return sum(entry.stat().st_size for entry in _files(path))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return [entry for entry in path.rglob("*") if entry.is_file()]
    return [path] if path.is_file() else []


@contextmanager
def _group(limit: int) -> Iterator[Path]:
    """A memory cgroup (version 1); it stays until the next one, so that its peak can be read."""
    if not _GROUP.parent.is_dir():
        yield _GROUP
        return
    if _GROUP.is_dir():
        _GROUP.rmdir()
    _GROUP.mkdir()
    if limit:
        (_GROUP / "memory.limit_in_bytes").write_text(str(limit))
    yield _GROUP


def _peak() -> int:
    try:
        return int((_GROUP / "memory.max_usage_in_bytes").read_text())
    except OSError as error:
        raise DrillError(f"{_GROUP}: found {error.strerror}, expected a memory cgroup") from error


def _sudo(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise DrillError(
            f"{' '.join(command)}: found {done.stderr.strip()}, expected root's rights"
        )
