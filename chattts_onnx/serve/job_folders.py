"""Folders of batch jobs: locked while their server lives, removed by the next one if it was killed.

The system lets go of a lock when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from pathlib import Path

from ..bulk.errors import JobError
from ..bulk.job import locked
from ..errors import InputError

_PREFIX = "chattts-onnx-jobs-"
_OURS = re.compile(r"[\w-]{22,28}")
# Folders that no process holds are looked for this often, and not before they are as old: one that
# was made just now is not locked yet.
_LOOK_SECONDS = 60.0


class JobFolders:
    """In the operator's folder ``place``, or in a temporary one where that is empty.

    Raises :class:`InputError` for a folder that cannot be used.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        # Of this server alone, so that the id of another one's job is known as such.
        self._mark = secrets.token_urlsafe(6)
        self._held = contextlib.ExitStack()
        self._looked = time.monotonic()
        try:
            if place:
                self._folder = Path(place)
                self._folder.mkdir(parents=True, exist_ok=True)
                # Seen now rather than in the first job.
                tempfile.TemporaryFile(dir=self._folder).close()
            else:
                self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
                self._hold(self._folder, self._held)
        except OSError as error:
            raise InputError(
                f"batch jobs cannot be kept in {place or tempfile.gettempdir()}: "
                f"{error.strerror or error}; choose another --jobs-folder."
            ) from error

    def new(self, held: contextlib.ExitStack) -> Path:
        """A folder, whose name is the job's id; it goes with ``held``."""
        folder = self._folder / (self._mark + secrets.token_urlsafe(15))
        folder.mkdir(mode=0o700)
        self._hold(folder, held)
        return folder

    def ours(self, id: str) -> bool:
        """Whether a job of this id could be of this server."""
        return id.startswith(self._mark)

    def sweep(self, now: bool = False) -> None:
        """Remove what killed servers left; looks once a minute unless told to do it ``now``."""
        if not now and time.monotonic() - self._looked <= _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        if self._place:
            left = [path for path in self._folder.iterdir() if _OURS.fullmatch(path.name)]
        else:
            left = list(self._folder.parent.glob(f"{_PREFIX}*"))
        for path in left:
            _remove_abandoned(path)

    def close(self) -> None:
        """Let go of the folder, and remove a temporary one."""
        self._held.close()

    def _hold(self, folder: Path, held: contextlib.ExitStack) -> None:
        held.enter_context(locked(folder))
        held.callback(shutil.rmtree, folder, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove a folder that no living process holds, and leave it where that cannot be known."""
    with contextlib.suppress(OSError, JobError):
        seen = folder.lstat()
        if not stat.S_ISDIR(seen.st_mode) or time.time() - seen.st_mtime < _LOOK_SECONDS:
            return
        # Without flock every folder could be locked.
        if os.name == "posix" and seen.st_uid == os.getuid():
            with locked(folder):
                shutil.rmtree(folder, ignore_errors=True)
