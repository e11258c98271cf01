"""A job: what is spoken how, where it is written, and whether a folder already holds it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from ..errors import InputError
from ..format.manifest import MANIFEST_NAME, Manifest
from ..speech.subtitles import SubtitleFormat
from ..text import TextOptions
from .corpus import Corpus, Scan
from .errors import JobError
from .files import replace_file
from .line import Defaults

JOB_NAME = "job.json"
_LOCK_NAME = ".lock"
_FORMAT = 2

AudioFormat = Literal["wav", "flac", "pcm", "mp3", "opus"]
Container = Literal["tar", "folder"]


@dataclass(frozen=True)
class Settings:
    """Everything that decides which bytes a job writes, but for corpus and bundle.

    ``format`` is that of each line's audio, ``container`` that of a shard of ``shard_lines``
    lines.  ``text_options`` hold the lexicon; what ``defaults`` say of the text goes before them.
    ``keep_text`` puts the text itself, and when its words are said, into the manifest besides its
    hash.  ``subtitles`` lie beside each audio file.  ``check`` is the share of wrong words above
    which a piece that a recogniser heard is drawn again.
    """

    defaults: Defaults = field(default_factory=Defaults)
    format: AudioFormat = "wav"
    container: Container = "tar"
    shard_lines: int = 1000
    text_options: TextOptions = field(default_factory=TextOptions)
    keep_text: bool = True
    subtitles: SubtitleFormat | None = None
    check: float | None = None

    def __post_init__(self) -> None:
        if self.shard_lines < 1:
            raise InputError(f"shard_lines is {self.shard_lines}; expected at least 1.")
        if self.subtitles and not self.keep_text:
            raise InputError("subtitles hold the text, which is not to be kept; choose one.")


@dataclass(frozen=True)
class Job:
    """A scanned corpus to be spoken by ``bundle`` into the folder ``output``."""

    corpus: Corpus
    scan: Scan
    bundle: Path
    output: Path
    settings: Settings

    @property
    def bundle_hash(self) -> str:
        """sha256 of the bundle's manifest, which holds those of all its files."""
        return hashlib.sha256((self.bundle / MANIFEST_NAME).read_bytes()).hexdigest()

    @property
    def shards(self) -> range:
        """Numbers of the shards."""
        return range(len(self.scan.starts))

    def describe(self) -> dict[str, Any]:
        """``job.json``: what a resumption has to agree with."""
        settings = asdict(self.settings)
        settings["columns"] = dict(self.corpus.columns)
        settings["delimiter"] = self.corpus.delimiter
        return {
            "format": _FORMAT,
            "corpus": [dict(file) for file in self.scan.files],
            "lines": self.scan.lines,
            "bundle": {
                "variant": Manifest.load(self.bundle, verify=False).variant,
                "sha256": self.bundle_hash,
            },
            "settings": settings,
        }

    def open(self) -> None:
        """Begin in an empty or absent folder, or resume what it holds.

        Raises :class:`JobError` when it holds anything else, saying what differs.
        """
        wanted = json.loads(json.dumps(self.describe(), ensure_ascii=False, default=list))
        path = self.output / JOB_NAME
        if path.is_file():
            _compare(_read(path), wanted, self.output)
            return
        # A kill before the first rename leaves hidden files alone.
        if self.output.exists() and any(not p.name.startswith(".") for p in self.output.iterdir()):
            raise JobError(
                f"{self.output} is not empty and has no {JOB_NAME}; name another folder."
            )
        text = json.dumps(wanted, indent=2, ensure_ascii=False) + "\n"
        replace_file(path, text.encode())


@contextlib.contextmanager
def locked(output: Path) -> Iterator[None]:
    """Hold the folder; :class:`JobError` while another process does.

    The system lets go of the lock when a process ends, however it ends.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        stream = (output / _LOCK_NAME).open("w")
    except OSError as error:
        raise JobError(f"{output} cannot be written: {error.strerror or error}.") from error
    with stream:
        _lock(stream, output)
        yield


def _lock(stream: IO[str], output: Path) -> None:
    if os.name != "posix":
        return
    import fcntl

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise JobError(
            f"another process is at work in {output}; wait for it or name another folder."
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise JobError(f"{path} cannot be read: {error}; name another folder.") from error
    return dict(value)


def _compare(found: dict[str, Any], wanted: dict[str, Any], output: Path) -> None:
    differing = [
        f"{name} is {was!r}, now {now!r}" for name, was, now in _differences(found, wanted)
    ]
    if differing:
        raise JobError(
            f"{output} holds another job: {'; '.join(differing)[:600]}. Use what it was begun "
            "with, or name another folder."
        )


def _differences(found: Any, wanted: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted({*found, *wanted}):
            below = f"{name}.{key}" if name else key
            yield from _differences(found.get(key), wanted.get(key), below)
    elif found != wanted:
        yield name, found, wanted
