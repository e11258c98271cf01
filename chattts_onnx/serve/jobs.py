"""Batch jobs: a file of lines to a zip of audio files and a manifest, in the background.

A job is a bulk job of one shard in a folder of its own, which this process locks; what differs is
who speaks: the service, beside the requests that are waited for.  Jobs end with their server.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from pathlib import Path
from typing import IO, Any, get_args

from ..audio.sinks import open_sink
from ..bulk.job import AudioFormat
from ..bulk.utterance import Entry, Task, line_entry, status
from ..errors import (
    ChatTTSError,
    InputError,
    JobStateError,
    LostJobError,
    QueueFullError,
    RequestCancelledError,
    StoppingError,
    UnknownJobError,
)
from ..speech.timing import PieceTime, Timings, sentence_records
from .job import Job
from .job_folders import JobFolders
from .requests import SpeechRequest
from .service import SpeechService
from .speech import Speech
from .upload import UploadLine, receive

log = logging.getLogger("chattts_onnx.serve")
FORMATS = get_args(AudioFormat)


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
        owners = max(1, len(self._settings.api_keys))
        self._most_jobs = max(1, self._settings.batch_jobs // owners)
        self._most_bytes = self._settings.max_jobs_bytes // owners
        self._folders = JobFolders(self._settings.jobs_folder)
        self._folders.sweep(now=True)
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
        with contextlib.ExitStack() as held:
            folder = self._folders.new(held)
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
        log.info("batch job %s: %d lines", job.shown, job.tally.total)
        return job

    def find(self, id: str, owner: str = "") -> Job:
        """A job of this owner; :class:`UnknownJobError`, :class:`LostJobError`."""
        job = self._jobs.get(id)
        if not self._folders.ours(id):
            raise LostJobError(
                "this server took no such job since it was started, and jobs end with the server "
                "that took them; upload the file again."
            )
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
        self._folders.sweep()

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
        self._folders.close()

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
                log.error("batch job %s failed: %s", job.shown, type(error).__name__)
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
            speech = self._service.submit(line.request, background=True, timed=True)
            with job.lock:
                job.speeches.add(speech)
            if job.over:
                speech.cancel()
            sentences = _write(speech, task.path, job.upload.settings.format)
            entry |= {
                "seconds": round(speech.samples / speech.sample_rate, 3),
                "sample_rate": speech.sample_rate,
                "variant": speech.variant,
                "seed": speech.seed,
                "takes": speech.takes.told(),
                "sentences": sentences,
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
        log.info("batch job %s: done, %d lines", job.shown, job.tally.total)

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


def _write(speech: Speech, path: Path, form: str) -> list[dict[str, Any]]:
    """Write what comes of a speech; when its sentences are said."""
    sink, timings = open_sink(str(path), form, speech.sample_rate), Timings()
    try:
        for item in speech.items():
            if isinstance(item, PieceTime):
                timings.add(item)
            else:
                sink.write(item)  # type: ignore[arg-type]
    except BaseException:
        sink.abort()
        raise
    sink.close()
    return sentence_records(timings.sentences)
