"""Files that are whole or absent, and on the disk before anything relies on them."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import BulkError


def replace_file(path: Path, data: bytes) -> None:
    """Write ``data`` beside ``path`` and rename it there."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        scratch.write_bytes(data)
        commit(scratch, path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        scratch.unlink(missing_ok=True)


def commit(scratch: Path, path: Path) -> None:
    """Rename a finished file or folder, its content first made safe from a loss of power."""
    if scratch.is_dir():
        for entry in scratch.iterdir():
            sync(entry)
    sync(scratch)
    scratch.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Ask the system to write a file, or a folder's entries, to the disk."""
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_error(path: Path, error: OSError) -> BulkError:
    """What is raised when ``path`` can't be written."""
    return BulkError(
        f"{path} cannot be written: {error.strerror or error}. Make room, then run the same "
        "command again: finished lines are kept."
    )
