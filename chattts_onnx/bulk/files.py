"""Files of a job, with what a user can do where one can't be written."""

from __future__ import annotations

from pathlib import Path

from ..atomic_files import write_file
from .errors import BulkError


def replace_file(path: Path, data: bytes) -> None:
    """Write ``data`` in one rename; :class:`BulkError` where that is not possible."""
    try:
        write_file(path, data)
    except OSError as error:
        raise write_error(path, error) from error


def write_error(path: Path, error: OSError) -> BulkError:
    """What is raised when ``path`` can't be written."""
    return BulkError(
        f"{path} cannot be written: {error.strerror or error}. Make room, then run the same "
        "command again: finished lines are kept."
    )
