"""Batch jobs: a file of lines to a zip of audio files and a manifest, in the background."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import re
import secrets
import shutil
import tempfile
import threading
import time
import zipfile
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..audio.sinks import open_sink
from ..errors import (
    ChatTTSError,
    InputError,
    JobStateError,
    QueueFullError,
    RequestCancelledError,
    StoppingError,
    UnknownJobError,
)
from .job_lines import Line
from .service import SpeechService
from .speech import Speech

log = logging.getLogger("chattts_onnx.serve")
MANIFEST = "manifest.json"
# A job's archive, whole or growing, and the audio of one line.
_OURS = re.compile(r"[\w-]{22}\.(zip|partial)|\.[\w-]{22}\.\d+\.\w+")
FORMATS = ("wav", "pcm", "flac", "mp3", "opus")


class Job:
    """One upload.  ``state``: queued, running, done, cancelled or failed."""

    def __init__(self, lines: Sequence[Line], form: str, owner: str, folder: Path) -> None:
        self.id = secrets.token_urlsafe(16)
        self.lines = list(lines)
        self.total = len(self.lines)
        self.failed = 0
        self.done = 0
        self.form = form
        self.owner = owner
        self.path = folder / f"{self.id}.zip"
        self.state = "queued"
        self.created = time.time()
        self.ended: float | None = None
        # How long it is kept goes by a clock that nobody sets.
        self.ended_monotonic = math.inf
        self.next = 0
        self.entries: dict[int, dict[str, Any]] = {}
        self.speeches: set[Speech] = set()
        self.lock = threading.Lock()

    @property
    def partial(self) -> Path:
        """Where the archive grows until it is complete."""
        return self.path.with_suffix(".partial")

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.ended is not None

    def close(self, state: str) -> None:
        """Nothing more will happen; the texts are let go."""
        self.state, self.ended, self.ended_monotonic = state, time.time(), time.monotonic()
        self.lines.clear()
        self.entries.clear()

    def status(self) -> dict[str, Any]:
        """What a client is told."""
        return {
            "id": self.id,
            "state": self.state,
            "total": self.total,
            "done": self.done,
            "failed": self.failed,
            "progress": round(self.done / self.total, 4),
            "created": self.created,
            "ended": self.ended,
        }


class JobRoom:
    """Holds the jobs; ``batch_workers`` threads speak their lines, oldest job first.

    Lines go through the service as others do, so requests that are waited for share the engine with
    them; the workers' number bounds what jobs take of it.
    """

    def __init__(self, service: SpeechService) -> None:
        self._service = service
        self._settings = service.settings
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        own = self._settings.jobs_folder
        self._folder = Path(own) if own else Path(tempfile.mkdtemp(prefix="chattts-jobs-"))
        self._temporary = not own
        self._folder.mkdir(parents=True, exist_ok=True)
        self._remove_abandoned()
        self._workers = [
            threading.Thread(target=self._work, name=f"chattts-job-{i}", daemon=True)
            for i in range(self._settings.batch_workers)
        ]
        for worker in self._workers:
            worker.start()
        service.ticks.append(self.sweep)

    def submit(self, lines: Sequence[Line], form: str = "wav", owner: str = "") -> Job:
        """Start a job; raises :class:`QueueFullError` when too many are kept, or
        :class:`UnknownJobError` where none are taken.
        """
        if not self._settings.batch_jobs:
            raise UnknownJobError("this server takes no batch jobs; ask the one that does.")
        if form not in FORMATS:
            raise InputError(f"no audio format {form!r}; expected one of {', '.join(FORMATS)}.")
        if not self._service.ready:
            raise StoppingError("the server is shutting down or not ready; ask again soon.")
        # Refused now rather than in each line.
        for name in {line.request.variant for line in lines}:
            self._service.variants.find(name)
        job = Job(lines, form, owner, self._folder)
        with self._changed:
            self._make_room()
            self._jobs[job.id] = job
            self._waiting.append(job)
            self._changed.notify_all()
        log.info("batch job %s: %d lines", job.id[:6], len(lines))
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
        with self._changed:
            if job.state == "done":
                self._jobs.pop(job.id, None)
        if job.state == "done":
            job.path.unlink(missing_ok=True)
        return job

    def counts(self) -> dict[str, int]:
        """State -> number of jobs."""
        states = [job.state for job in list(self._jobs.values())]
        return {s: states.count(s) for s in ("queued", "running", "done", "cancelled", "failed")}

    def sweep(self) -> None:
        """Remove what was kept long enough."""
        now = time.monotonic()
        for job in list(self._jobs.values()):
            if now - job.ended_monotonic > self._settings.keep_seconds:
                with self._changed:
                    self._jobs.pop(job.id, None)
                job.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Cancel what runs, remove the temporary files."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for job in list(self._jobs.values()):
            self._end(job, "cancelled")
        for worker in self._workers:
            worker.join(5)
        if self._temporary:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _remove_abandoned(self) -> None:
        """Remove what a server that was killed left: no job is known by it any more.

        Others may share the folder, so only what they would have removed by now.
        """
        oldest = time.time() - self._settings.keep_seconds
        for path in self._folder.iterdir():
            if _OURS.fullmatch(path.name) and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def _make_room(self) -> None:
        if len(self._jobs) < self._settings.batch_jobs:
            return
        over = [job for job in self._jobs.values() if job.over]
        if not over:
            raise QueueFullError(
                f"{self._settings.batch_jobs} batch jobs are under way; try again later."
            )
        oldest = self._jobs.pop(min(over, key=lambda job: job.ended_monotonic).id)
        oldest.path.unlink(missing_ok=True)

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            job, line = taken
            try:
                self._speak(job, line)
            except Exception as error:
                log.error("batch job %s failed: %s", job.id[:6], type(error).__name__)
                self._end(job, "failed")

    def _take(self) -> tuple[Job, Line] | None:
        with self._changed:
            while True:
                while self._waiting:
                    job = self._waiting[0]
                    with job.lock:
                        if not job.over and job.next < len(job.lines):
                            job.state = "running"
                            job.next += 1
                            return job, job.lines[job.next - 1]
                    self._waiting.popleft()
                if self._closed:
                    return None
                self._changed.wait()

    def _speak(self, job: Job, line: Line) -> None:
        entry: dict[str, Any] = {"number": line.number, "id": line.id, "text": line.request.text}
        scratch = self._folder / f".{job.id}.{line.number}.{job.form}"
        try:
            speech = self._service.submit(line.request, background=True)
            with job.lock:
                job.speeches.add(speech)
            if job.over:
                speech.cancel()
            self._write(speech, scratch, job.form)
            entry |= {
                "file": line.file_name(job.form),
                "seconds": round(speech.samples / speech.sample_rate, 3),
                "sample_rate": speech.sample_rate,
                "variant": speech.variant,
                "voice": line.request.voice,
                "seed": speech.seed,
            }
        except RequestCancelledError:
            return
        except StoppingError:
            self._end(job, "cancelled")
            return
        except ChatTTSError as error:
            entry["error"] = f"{type(error).__name__}: {error}"
        else:
            with job.lock:
                job.speeches.discard(speech)
        try:
            self._keep(job, line, entry, scratch)
        finally:
            scratch.unlink(missing_ok=True)

    def _write(self, speech: Speech, scratch: Path, form: str) -> None:
        sink = open_sink(str(scratch), "raw" if form == "pcm" else form, speech.sample_rate)
        try:
            for chunk in speech:
                sink.write(chunk)  # type: ignore[arg-type]
        except BaseException:
            sink.abort()
            raise
        sink.close()

    def _keep(self, job: Job, line: Line, entry: dict[str, Any], scratch: Path) -> None:
        """Put a line's audio into the archive; the last one closes it."""
        with job.lock:
            if job.over:
                return
            # Not strict: a machine whose clock says 1970 works too.
            with zipfile.ZipFile(
                job.partial, "a", zipfile.ZIP_STORED, strict_timestamps=False
            ) as archive:
                if "file" in entry:
                    archive.write(scratch, entry["file"])
                job.entries[line.number] = entry
                job.done += 1
                job.failed += "error" in entry
                if job.done < job.total:
                    return
                ordered = [job.entries[number] for number in sorted(job.entries)]
                content = json.dumps({"format": job.form, "lines": ordered}, ensure_ascii=False)
                # An entry of its own takes no time from the clock.
                manifest = zipfile.ZipInfo(MANIFEST)
                manifest.external_attr = 0o600 << 16
                # Halves of surrogate pairs, which UTF-8 cannot hold, become JSON's escapes again.
                data = (content + "\n").encode("utf-8", "backslashreplace")
                archive.writestr(manifest, data)
            job.partial.replace(job.path)
            job.close("done")
        log.info("batch job %s: done, %d lines", job.id[:6], job.total)

    def _end(self, job: Job, state: str) -> None:
        with job.lock:
            if job.over:
                return
            job.close(state)
            speeches = list(job.speeches)
        for speech in speeches:
            speech.cancel()
        with contextlib.suppress(OSError):
            job.partial.unlink(missing_ok=True)
