"""Files that are whole or absent, and on the disk before anything relies on them.

What a crash of the machine leaves of a file that was written, renamed and never synced may be its
name without its bytes, so content is synced before the rename and the folder after it.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

# What the place says that is written to, not the program.
PLACE_ERRORS = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
    }
)  # fmt: skip


def scratch_path(path: Path) -> Path:
    """Where this process writes ``path`` until it is whole: hidden, in the same folder."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def write_file(path: Path, data: bytes) -> None:
    """Write ``data`` beside ``path`` and rename it there; an ``OSError`` leaves nothing behind."""
    scratch = scratch_path(path)
    try:
        scratch.write_bytes(data)
        commit(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def commit(scratch: Path, path: Path) -> None:
    """Rename a finished file or folder, its content first made safe from a loss of power."""
    sync_tree(scratch)
    scratch.replace(path)
    sync(path.parent)


def sync_tree(path: Path) -> None:
    """:func:`sync` a file, or a folder with all that is below it."""
    if path.is_dir():
        for entry in path.rglob("*"):
            if not entry.is_symlink():
                sync(entry)
    sync(path)


def sync(path: Path) -> None:
    """Ask the system to write a file, or a folder's entries, to the disk."""
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
