"""One batch job: its lines, its files, and what a client is told of it."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from typing import Any

from ..bulk.run import Work
from ..bulk.summary import Tally
from ..bulk.utterance import Task
from .archive import ArchiveStore
from .speech import Speech
from .upload import Upload


class Job:
    """One upload.  ``state``: queued, running, done, cancelled or failed, ``error`` says why."""

    def __init__(self, upload: Upload, owner: str, held: contextlib.ExitStack) -> None:
        self.id = upload.output.name
        self.shown = self.id[-6:]  # in logs; who knows all of it may fetch the job
        self.upload = upload
        self.owner = owner
        self.state = "queued"
        self.error: str | None = None
        self.created = time.time()
        self.ended: float | None = None
        # How long it is kept goes by a clock that nobody sets.
        self.ended_monotonic = math.inf
        self.tally = Tally(upload.scan.lines)
        self.speeches: set[Speech] = set()
        self.lock = threading.Lock()
        self.taken = self.running = 0
        store = ArchiveStore(upload)
        self.path = store.target(0)
        # On the disk: the file, then the audio of its lines as well.
        self.bytes = sum(int(file["bytes"]) for file in upload.scan.files)
        self.work = Work(store, self.tally, upload.line)
        self._tasks = self.work.tasks([0])
        self._held = held

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.ended is not None

    def next_task(self) -> Task:
        """The next line to be spoken, of those that were taken."""
        with self.lock:
            self.state = self.state if self.over else "running"
            return next(self._tasks)

    def close(self, state: str, error: str | None = None) -> None:
        """Nothing more will happen."""
        self.state, self.error = state, error
        self.ended, self.ended_monotonic = time.time(), time.monotonic()

    def remove(self) -> None:
        """Remove its files, and let go of the folder."""
        self._held.close()

    def status(self) -> dict[str, Any]:
        """What a client is told."""
        return {
            "id": self.id,
            "state": self.state,
            "total": self.tally.total,
            "done": self.tally.lines,
            "failed": self.tally.failed,
            "progress": round(self.tally.lines / self.tally.total, 4),
            "created": self.created,
            "ended": self.ended,
            "error": self.error,
        }
