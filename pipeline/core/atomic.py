"""Outputs that are whole or absent.

A stage that is killed must leave nothing that looks finished, so everything is written beside its
destination, synced to the disk and renamed at the end.  Scratch names are fixed, so that a rerun
takes the place of what a killed run left, and locked, so that two runs at once do not mix; the
system lets go of the lock when a process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chattts_onnx.atomic_files import PLACE_ERRORS, commit, sync_tree
from pipeline.core.errors import ConcurrencyError, StorageError


@contextmanager
def output_directory(destination: Path) -> Iterator[Path]:
    """Yield a scratch folder that becomes ``destination`` if the block succeeds.

    An earlier ``destination`` and the leftovers of killed runs are removed.

    Raises:
        ConcurrencyError: another process is writing ``destination``.
        StorageError: there is no room or no permission.
    """
    scratch = destination.parent / f".{destination.name}.partial"
    with named_storage_errors(destination):
        _make_parent(destination)
        with _held_folder(scratch):
            try:
                yield scratch
                # The slow part, before there is a moment without a destination.
                sync_tree(scratch)
                _set_aside(destination)
                commit(scratch, destination)
            except BaseException:
                shutil.rmtree(scratch, ignore_errors=True)
                raise
            shutil.rmtree(_aside(destination), ignore_errors=True)


def write_bytes(destination: Path, data: bytes, replace: bool = True) -> None:
    """Write ``data`` to ``destination`` in one rename; without ``replace``, only where nothing is.

    Raises:
        StorageError: there is no room or no permission.
    """
    scratch = destination.with_name(f".{destination.name}.partial")
    with named_storage_errors(destination):
        _make_parent(destination)
        with _held_file(scratch):
            try:
                if destination.exists() and not replace:
                    scratch.unlink()
                    return
                scratch.write_bytes(data)
                commit(scratch, destination)
            except BaseException:
                scratch.unlink(missing_ok=True)
                raise


def write_text(destination: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``destination`` in one rename."""
    write_bytes(destination, text.encode("utf-8"))


def write_json(destination: Path, value: Any) -> None:
    """Write ``value`` as indented JSON with a final newline, in one rename."""
    write_text(destination, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def named_storage_errors(destination: Path) -> Iterator[None]:
    """Turn the errors of a full, read-only or failing disk into :class:`StorageError`."""
    try:
        yield
    except OSError as error:
        # numpy tells of a write that was cut short in words alone.
        if error.errno is not None and error.errno not in PLACE_ERRORS:
            raise
        raise StorageError(
            f"{error.filename or destination}: found {error.strerror or error}, expected a place "
            f"with room that may be written; {destination.name} is as it was, free the disk or "
            "name another folder and run the same again"
        ) from error


def _make_parent(destination: Path) -> None:
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in PLACE_ERRORS:
            raise
        # a file in the way, a name that is too long, a folder of the kernel's
        raise StorageError(
            f"{destination}: found {error.strerror} at {error.filename}, expected a path that may "
            "be made; name another one"
        ) from error


def _aside(destination: Path) -> Path:
    return destination.with_name(f".{destination.name}.earlier.partial")


def _set_aside(destination: Path) -> None:
    """Move an earlier folder away whole: removed in place, half of it would be seen."""
    aside = _aside(destination)
    shutil.rmtree(aside, ignore_errors=True)
    if destination.exists():
        destination.replace(aside)


@contextmanager
def _held_folder(scratch: Path) -> Iterator[None]:
    """An empty folder that no other process works in."""
    while True:
        scratch.mkdir(exist_ok=True)
        with _locked(scratch, os.O_RDONLY, fcntl.LOCK_EX | fcntl.LOCK_NB) as still_there:
            if still_there:
                _empty(scratch)
                yield
                return


@contextmanager
def _held_file(scratch: Path) -> Iterator[None]:
    """A file that no other process writes; waits, since writers of one file are quick."""
    while True:
        with _locked(scratch, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as still_there:
            if still_there:
                yield
                return


@contextmanager
def _locked(path: Path, flags: int, operation: int) -> Iterator[bool]:
    """Lock what ``path`` names; whether it still names that, or was renamed before the lock."""
    handle = os.open(path, flags, 0o666)
    try:
        _flock(handle, path, operation)
        try:
            found = path.stat()
        except FileNotFoundError:
            yield False
        else:
            yield os.path.samestat(os.fstat(handle), found)
    finally:
        os.close(handle)


def _flock(handle: int, path: Path, operation: int) -> None:
    try:
        fcntl.flock(handle, operation)
    except BlockingIOError as error:
        raise ConcurrencyError(
            f"{path}: found another process at work there, expected to be alone; wait for its end"
        ) from error
    except OSError:
        # Some network file systems have no locks; two runs at once are then the user's to avoid.
        pass


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
