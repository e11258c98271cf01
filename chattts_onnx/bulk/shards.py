"""Shards on disk: lines gathered in a work folder, then packed and committed in one rename.

A shard is finished when its part of the manifest (``shard-000012.jsonl``) lies beside it.  Until
then its lines are files in ``.work/shard-000012`` with a journal, so that a kill costs no finished
line.  What is packed depends on corpus, bundle and settings alone: names, order and times in an
archive do not tell one run from another.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..atomic_files import commit
from ..format.files import hash_file
from ..speech.subtitles import subtitles
from ..speech.timing import read_sentences
from .errors import BulkError
from .files import write_error
from .job import Job

MANIFEST = "manifest.jsonl"
_WORK = ".work"

Entry = dict[str, Any]


def shard_name(shard: int) -> str:
    """``shard-000012``."""
    return f"shard-{shard:06d}"


class Store:
    """The output folder of a job, as one process sees it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.bundle_hash = job.bundle_hash
        # Names no other process takes, on whatever host: several may try the same shard.
        self.token = f"{socket.gethostname()[:32]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"

    def target(self, shard: int) -> Path:
        """The archive or folder of a shard."""
        suffix = ".tar" if self.job.settings.container == "tar" else ""
        return self.job.output / f"{shard_name(shard)}{suffix}"

    def part(self, shard: int) -> Path:
        """A shard's part of the manifest."""
        return self.job.output / f"{shard_name(shard)}.jsonl"

    def finished(self, shard: int) -> bool:
        """Whether a shard is committed."""
        return self.part(shard).is_file() and self.target(shard).exists()

    def pending(self) -> list[int]:
        """Shards that are not finished, in order."""
        return [shard for shard in self.job.shards if not self.finished(shard)]

    def open(self, shard: int) -> OpenShard:
        """A shard to work on, with what an earlier run finished of it."""
        return OpenShard(self, shard)

    def entries(self) -> Iterator[Entry]:
        """The manifest's lines of all finished shards, in order."""
        for shard in self.job.shards:
            if self.finished(shard):
                yield from read_entries(self.part(shard))

    def conclude(self) -> None:
        """Write the whole manifest and remove the work folder; all shards must be finished."""
        if pending := self.pending():
            raise BulkError(
                f"{len(pending)} shards are not finished, the first is {shard_name(pending[0])}; "
                "run the same command again."
            )
        path = self.job.output / MANIFEST
        scratch = path.with_name(f".{path.name}.{self.token}.partial")
        try:
            with scratch.open("wb") as whole:
                for shard in self.job.shards:
                    with self.part(shard).open("rb") as part:
                        shutil.copyfileobj(part, whole)
            commit(scratch, path)
        except OSError as error:
            raise write_error(path, error) from error
        shutil.rmtree(self.job.output / _WORK, ignore_errors=True)
        for leftover in self.job.output.glob(".*.partial"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)


class OpenShard:
    """One shard's lines while they come in, in any order."""

    def __init__(self, store: Store, shard: int) -> None:
        self.shard = shard
        self.numbers = store.job.scan.numbers(shard)
        self._store = store
        self.folder = store.job.output / _WORK / shard_name(shard)
        self._journal = self.folder / f"journal-{store.token}.jsonl"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._entries = self._recover()
        except OSError as error:
            raise write_error(self.folder, error) from error
        self.recovered = len(self._entries)

    def __contains__(self, number: int) -> bool:
        return number in self._entries

    @property
    def complete(self) -> bool:
        """Whether every line is there."""
        return len(self._entries) == len(self.numbers)

    def audio_name(self, number: int) -> str:
        """File name of a line's audio."""
        return f"{number:09d}.{self._store.job.settings.format}"

    def scratch(self, number: int) -> Path:
        """Where this process writes a line's audio until it is whole."""
        return self.folder / f".{self._store.token}.{self.audio_name(number)}"

    def keep(self, number: int) -> dict[str, Any]:
        """Take over the audio written to :meth:`scratch`; returns its ``file`` and ``sha256``."""
        name, scratch = self.audio_name(number), self.scratch(number)
        digest = hash_file(scratch)
        scratch.replace(self.folder / name)
        return {"file": name, "sha256": digest}

    def add(self, entry: Entry) -> None:
        """Note that a line is done; its audio, if it has any, was kept before."""
        try:
            with self._journal.open("ab") as stream:
                stream.write(_to_line(entry))
        except OSError as error:
            raise write_error(self._journal, error) from error
        self._entries[entry["line"]] = entry

    def finish(self) -> list[Entry]:
        """Pack and commit the shard; returns its part of the manifest."""
        store, target = self._store, self._store.target(self.shard)
        if not self.complete:
            raise BulkError(
                f"{shard_name(self.shard)} has {len(self._entries)} lines, expected "
                f"{len(self.numbers)}."
            )
        common = {"shard": target.name, "bundle": store.bundle_hash}
        entries = [{**self._entries[number], **common} for number in self.numbers]
        scratch = target.with_name(f".{target.name}.{store.token}.partial")
        part = store.part(self.shard)
        try:
            if not (target.is_dir() and any(target.iterdir())):
                self.pack(scratch, entries)
                commit(scratch, target)
            partial = part.with_name(f".{part.name}.{store.token}.partial")
            partial.write_bytes(b"".join(map(_to_line, entries)))
            commit(partial, part)
        except OSError as error:
            raise write_error(target, error) from error
        shutil.rmtree(self.folder, ignore_errors=True)
        return entries

    def pack(self, scratch: Path, entries: list[Entry]) -> None:
        """Write a complete shard to ``scratch``."""
        spoken = [entry for entry in entries if entry["file"]]
        if self._store.job.settings.container == "folder":
            scratch.mkdir()
            for entry in spoken:
                _link(self.folder / entry["file"], scratch / entry["file"])
                for name, data in self._beside(entry):
                    (scratch / name).write_bytes(data)
            return
        with tarfile.open(scratch, "w", format=tarfile.USTAR_FORMAT) as archive:
            for entry in spoken:
                source = self.folder / entry["file"]
                with source.open("rb") as stream:
                    archive.addfile(_member(source.name, source.stat().st_size), stream)
                note = f"{source.stem}.json", _to_line(entry)
                for name, data in (note, *self._beside(entry)):
                    archive.addfile(_member(name, len(data)), io.BytesIO(data))

    def _beside(self, entry: Entry) -> Iterator[tuple[str, bytes]]:
        """Files that belong to an audio file: (name, bytes)."""
        if form := self._store.job.settings.subtitles:
            text = subtitles(read_sentences(entry["sentences"] or ()), form)
            yield f"{Path(entry['file']).stem}.{form}", text.encode("utf-8", "backslashreplace")

    def _recover(self) -> dict[int, Entry]:
        """Entries of earlier runs whose audio is still what it was."""
        found: dict[int, Entry] = {}
        for journal in sorted(self.folder.glob("journal-*.jsonl")):
            for entry in read_entries(journal):
                number = entry["line"]
                if number in self.numbers and number not in found and self._intact(entry):
                    found[number] = entry
        return found

    def _intact(self, entry: Entry) -> bool:
        if not entry["file"]:
            return True
        try:
            return hash_file(self.folder / entry["file"]) == str(entry["sha256"])
        except OSError:
            return False


def read_entries(path: Path) -> Iterator[Entry]:
    """Lines of a journal or a part of the manifest; one that a kill cut off is left out."""
    with path.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield json.loads(line)


def _to_line(entry: Entry) -> bytes:
    return (json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        # Not every file system has hard links.
        shutil.copyfile(source, target)
