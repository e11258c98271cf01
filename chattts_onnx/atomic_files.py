"""Files that are whole or absent, and on the disk before anything relies on them.

What a crash of the machine leaves of a file that was written, renamed and never synced may be its
name without its bytes, so content is synced before the rename and the folder after it.

Only files are replaced: a link stays and what it leads to is written, by all of its names; devices
and pipes are written into (:func:`is_special`).
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

# What the place says that is written to, not the program.
PLACE_ERRORS = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
    }
)  # fmt: skip
_LONGEST_NAME = 255


def scratch_path(path: Path) -> Path:
    """Where this process writes ``path`` until it is whole: hidden, in the same folder."""
    ending = f".{os.getpid()}.partial"
    # A name that just fits is cut, since the ending would make it longer than file systems take.
    stem = os.fsencode(path.name)[: _LONGEST_NAME - len(ending) - 1].decode("utf-8", "ignore")
    return path.with_name(f".{stem}{ending}")


def is_special(path: Path) -> bool:
    """Whether ``path`` is a device, pipe or socket, itself or by a link: opened, never renamed to.

    What lies below ``/dev`` and ``/proc`` may be a file that some process has open already.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    names = {*path.absolute().parts[1:2], *Path(os.path.realpath(path)).parts[1:2]}
    open_already = os.name == "posix" and bool(names & {"dev", "proc"}) and not path.is_dir()
    return open_already or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def followed(path: Path) -> Path:
    """``path``, or the file that it leads to where it is a link."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def write_file(path: Path, data: bytes) -> None:
    """Write ``data`` beside ``path`` and rename it there; an ``OSError`` leaves nothing behind."""
    if is_special(path):
        with path.open("wb") as stream:
            stream.write(data)
        return
    path = followed(path)
    scratch = scratch_path(path)
    try:
        scratch.write_bytes(data)
        commit(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def commit(scratch: Path, path: Path) -> None:
    """Rename a finished file or folder, its content first made safe from a loss of power.

    A file of several names (hard links), or one that is mounted by itself as containers do, can't
    be renamed to: its content is exchanged, once all of the new one is there.
    """
    sync_tree(scratch)
    if not _has_other_names(path):
        try:
            scratch.replace(path)
            sync(path.parent)
            return
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.EXDEV) or not scratch.is_file():
                raise
    with scratch.open("rb") as source, path.open("r+b") as target:
        shutil.copyfileobj(source, target)
        target.truncate()
    scratch.unlink()
    sync(path)


def _has_other_names(path: Path) -> bool:
    """Whether a file is another's content as well; not one of a cache, which nobody may write."""
    try:
        status = path.stat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink > 1 and bool(status.st_mode & 0o200)


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
