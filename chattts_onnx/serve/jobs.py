"""Batch jobs: a file of lines to a zip of audio files and a manifest, in the background.

A job is a bulk job of one shard in a folder of its own, which this process locks; what differs is
who speaks: the service, beside the requests that are waited for.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import IO, Any, get_args

from ..audio.sinks import open_sink
from ..bulk.errors import JobError
from ..bulk.job import AudioFormat, locked
from ..bulk.run import Work
from ..bulk.summary import Tally
from ..bulk.utterance import Entry, Task, line_entry, status
from ..errors import (
    ChatTTSError,
    InputError,
    JobStateError,
    QueueFullError,
    RequestCancelledError,
    StoppingError,
    UnknownJobError,
)
from .archive import ArchiveStore
from .requests import SpeechRequest
from .service import SpeechService
from .settings import ServeSettings
from .speech import Speech
from .upload import Upload, UploadLine, receive

log = logging.getLogger("chattts_onnx.serve")
FORMATS = get_args(AudioFormat)
_PREFIX = "chattts-onnx-jobs-"
_OURS = re.compile(r"[\w-]{22}")
# Folders that no process holds are looked for this often, and not before they are as old: one that
# was made just now is not locked yet.
_LOOK_SECONDS = 60.0


class Job:
    """One upload.  ``state``: queued, running, done, cancelled or failed, ``error`` says why."""

    def __init__(self, upload: Upload, owner: str, held: contextlib.ExitStack) -> None:
        self.id = upload.output.name
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


class JobRoom:
    """Holds the jobs; ``batch_workers`` threads speak their lines, an owner's oldest job first and
    the owners in turn.

    Lines go through the service as others do, so requests that are waited for share the engine with
    them; the workers' number bounds what jobs take of it.  Of the jobs and bytes that are kept each
    key has an equal share, so that none can fill the room or push another's results out of it.
    """

    def __init__(self, service: SpeechService) -> None:
        self._service = service
        self._settings = service.settings
        self._jobs: dict[str, Job] = {}
        self._waiting: dict[str, deque[Job]] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._looked = time.monotonic()
        owners = max(1, len(self._settings.api_keys))
        self._most_jobs = max(1, self._settings.batch_jobs // owners)
        self._most_bytes = self._settings.max_jobs_bytes // owners
        self._held = contextlib.ExitStack()
        self._folder = jobs_folder(self._settings, self._held)
        self._remove_abandoned()
        self._workers = [
            threading.Thread(target=self._serve, name=f"chattts-job-{i}", daemon=True)
            for i in range(self._settings.batch_workers)
        ]
        for worker in self._workers:
            worker.start()
        service.ticks.append(self.sweep)

    def submit(
        self,
        stream: IO[bytes],
        name: str,
        defaults: SpeechRequest,
        form: AudioFormat = "wav",
        owner: str = "",
        encoding: str | None = None,
    ) -> Job:
        """Start a job of the file ``stream`` called ``name``; see :func:`.receive`.

        Raises :class:`QueueFullError` when this owner has too many, or :class:`UnknownJobError`
        where none are taken.
        """
        settings = self._settings
        if not settings.batch_jobs:
            raise UnknownJobError("this server takes no batch jobs; ask the one that does.")
        if form not in FORMATS:
            raise InputError(f"no audio format {form!r}; expected one of {', '.join(FORMATS)}.")
        if not self._service.ready:
            raise StoppingError("the server is shutting down or not ready; ask again soon.")
        folder = self._folder / secrets.token_urlsafe(16)
        with contextlib.ExitStack() as held:
            folder.mkdir(mode=0o700)
            held.enter_context(locked(folder))
            held.callback(shutil.rmtree, folder, ignore_errors=True)
            most, longest = settings.batch_lines, settings.max_chars
            upload = receive(
                stream, name, folder, defaults, form, most=most, longest=longest, encoding=encoding
            )
            # Refused now rather than in each line.
            for variant in upload.variants:
                self._service.variants.find(variant)
            job = Job(upload, owner, held)
            with self._changed:
                self._make_room(owner, job.bytes, 1)
                self._jobs[job.id] = job
                self._waiting.setdefault(owner, deque()).append(job)
                self._changed.notify_all()
            job._held = held.pop_all()
        log.info("batch job %s: %d lines", job.id[:6], job.tally.total)
        return job

    def find(self, id: str, owner: str = "") -> Job:
        """A job of this owner; :class:`UnknownJobError`."""
        job = self._jobs.get(id)
        if job is None or job.owner != owner:
            raise UnknownJobError("there is no such job; finished ones are kept for a while only.")
        return job

    def all(self, owner: str = "") -> list[Job]:
        """This owner's jobs, oldest first."""
        with self._changed:
            return [job for job in self._jobs.values() if job.owner == owner]

    def result(self, id: str, owner: str = "") -> Path:
        """The archive of a finished job; :class:`JobStateError` while there is none."""
        job = self.find(id, owner)
        if job.state != "done":
            raise JobStateError(f"the job is {job.state}; its archive is there once it is done.")
        return job.path

    def cancel(self, id: str, owner: str = "") -> Job:
        """End a job and drop what it made; a finished one is removed."""
        job = self.find(id, owner)
        self._end(job, "cancelled")
        if job.state == "done":
            with self._changed:
                self._drop(job)
        return job

    def counts(self) -> dict[str, int]:
        """State -> number of jobs."""
        states = [job.state for job in list(self._jobs.values())]
        return {s: states.count(s) for s in ("queued", "running", "done", "cancelled", "failed")}

    def bytes(self) -> int:
        """What all jobs hold on the disk."""
        return sum(job.bytes for job in list(self._jobs.values()))

    def sweep(self) -> None:
        """Remove what was kept long enough, and what nobody keeps."""
        now = time.monotonic()
        for job in list(self._jobs.values()):
            if now - job.ended_monotonic > self._settings.keep_seconds:
                with self._changed:
                    self._drop(job)
        if now - self._looked > _LOOK_SECONDS:
            self._looked = now
            self._remove_abandoned()

    def close(self) -> None:
        """Cancel what runs, remove the files."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for job in list(self._jobs.values()):
            self._end(job, "cancelled")
        for worker in self._workers:
            worker.join(5)
        for job in list(self._jobs.values()):
            job.remove()
        self._held.close()

    def _remove_abandoned(self) -> None:
        """Remove what servers left that were killed: their locks ended with them."""
        if self._settings.jobs_folder:
            left = [path for path in self._folder.iterdir() if _OURS.fullmatch(path.name)]
        else:
            left = list(self._folder.parent.glob(f"{_PREFIX}*"))
        for path in left:
            remove_abandoned(path)

    def _make_room(self, owner: str, more: int, jobs: int) -> None:
        """Drop this owner's oldest finished jobs until there is room; holds the lock."""
        own = [job for job in self._jobs.values() if job.owner == owner]
        over = deque(sorted((j for j in own if j.over), key=lambda job: job.ended_monotonic))
        while True:
            held = sum(job.bytes for job in self._jobs.values() if job.owner == owner) + more
            count = sum(job.owner == owner for job in self._jobs.values()) + jobs
            if count <= self._most_jobs and held <= self._most_bytes:
                return
            if not over:
                raise QueueFullError(
                    f"{count - jobs} batch jobs and {held:,} bytes of them would be kept; "
                    f"{self._most_jobs} and {self._most_bytes:,} may be. Try again later."
                )
            self._drop(over.popleft())

    def _drop(self, job: Job) -> None:
        if self._jobs.pop(job.id, None) is not None:
            job.remove()

    def _serve(self) -> None:
        while (job := self._take()) is not None:
            try:
                self._speak(job)
            except Exception as error:
                log.error("batch job %s failed: %s", job.id[:6], type(error).__name__)
                shown = isinstance(error, QueueFullError)
                self._end(job, "failed", str(error) if shown else "the server could not go on.")
            finally:
                with job.lock:
                    job.running -= 1
                self._clear(job)

    def _take(self) -> Job | None:
        """The job whose turn it is to have a line spoken; None in the end."""
        with self._changed:
            while not self._closed:
                for owner, jobs in list(self._waiting.items()):
                    while jobs and (jobs[0].over or jobs[0].taken == jobs[0].tally.total):
                        jobs.popleft()
                    # To the end, behind all other owners.
                    del self._waiting[owner]
                    if jobs:
                        self._waiting[owner] = jobs
                        jobs[0].taken += 1
                        jobs[0].running += 1
                        return jobs[0]
                self._changed.wait()
        return None

    def _speak(self, job: Job) -> None:
        if job.over:
            return
        task = job.next_task()
        line = task.line
        assert isinstance(line, UploadLine)  # what the upload's lines are
        entry = {**line_entry(line), "file": None, "seconds": 0.0}
        try:
            speech = self._service.submit(line.request, background=True)
            with job.lock:
                job.speeches.add(speech)
            if job.over:
                speech.cancel()
            _write(speech, task.path, job.upload.settings.format)
            entry |= {
                "seconds": round(speech.samples / speech.sample_rate, 3),
                "sample_rate": speech.sample_rate,
                "variant": speech.variant,
                "seed": speech.seed,
                **status(None),
            }
        except RequestCancelledError:
            return
        except StoppingError:
            self._end(job, "cancelled")
            return
        except ChatTTSError as error:
            entry |= status(error)
        else:
            with job.lock:
                job.speeches.discard(speech)
        self._keep(job, task, entry)

    def _keep(self, job: Job, task: Task, entry: Entry) -> None:
        """Put a line's audio into the archive; the last one closes it."""
        size = task.path.stat().st_size if task.path.exists() else 0
        with self._changed:
            job.bytes += size
            self._make_room(job.owner, 0, 0)
        with job.lock:
            if job.over:
                return
            job.work.conclude(task, entry)
            if job.tally.lines < job.tally.total:
                return
            job.bytes = job.path.stat().st_size
            job.upload.corpus.paths[0].unlink()
            job.close("done")
        log.info("batch job %s: done, %d lines", job.id[:6], job.tally.total)

    def _end(self, job: Job, state: str, error: str | None = None) -> None:
        with job.lock:
            if job.over:
                return
            job.close(state, error)
            speeches = list(job.speeches)
        for speech in speeches:
            speech.cancel()
        self._clear(job)

    def _clear(self, job: Job) -> None:
        """Remove the files of a job that ended without a result, when its last line has left."""
        with job.lock:
            if job.over and job.state != "done" and not job.running:
                job.bytes = 0
                job.remove()


def jobs_folder(settings: ServeSettings, held: contextlib.ExitStack) -> Path:
    """Where jobs lie: the operator's folder, or a temporary one that goes with ``held``.

    Raises :class:`InputError` for one that cannot be used.
    """
    try:
        if settings.jobs_folder:
            folder = Path(settings.jobs_folder)
            folder.mkdir(parents=True, exist_ok=True)
            # Seen now rather than in the first job.
            tempfile.TemporaryFile(dir=folder).close()
            return folder
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    except OSError as error:
        raise InputError(
            f"batch jobs cannot be kept in {settings.jobs_folder or tempfile.gettempdir()}: "
            f"{error.strerror or error}; choose another --jobs-folder."
        ) from error
    held.enter_context(locked(folder))
    held.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def remove_abandoned(folder: Path) -> None:
    """Remove a folder that no living process holds, and leave it where that cannot be known."""
    with contextlib.suppress(OSError, JobError):
        seen = folder.lstat()
        if not stat.S_ISDIR(seen.st_mode) or time.time() - seen.st_mtime < _LOOK_SECONDS:
            return
        # Without flock every folder could be locked.
        if os.name == "posix" and seen.st_uid == os.getuid():
            with locked(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _write(speech: Speech, path: Path, form: str) -> None:
    sink = open_sink(str(path), form, speech.sample_rate)
    try:
        for chunk in speech:
            sink.write(chunk)  # type: ignore[arg-type]
    except BaseException:
        sink.abort()
        raise
    sink.close()
