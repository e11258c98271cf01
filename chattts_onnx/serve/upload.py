"""The file of a batch job, plain text, CSV or JSONL, as the corpus of a bulk job."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType
from typing import IO, Any

from ..bulk.corpus import BEGINNING, Corpus, Record, Scan
from ..bulk.errors import CorpusError
from ..bulk.job import AudioFormat, Job, Settings
from ..bulk.line import COLUMNS, Defaults, Line, file_stem, parse_line
from ..charset import read_blocks
from ..errors import InputError, TooLargeError
from ..speech.options import absent
from ..untrusted import brief
from .requests import SpeechRequest

_COLUMNS = (*COLUMNS, "variant")
_KINDS = {"csv": "csv", "tsv": "tsv", "jsonl": "jsonl", "ndjson": "jsonl"}


@dataclass(frozen=True)
class UploadLine(Line):
    """A line that may name the ``variant`` to speak it; clients count lines from 1."""

    variant: str | None = None

    @property
    def request(self) -> SpeechRequest:
        """What the service is asked."""
        return SpeechRequest(self.text, self.voice, self.variant, **self.options)

    def file_name(self, suffix: str) -> str:
        """A name for the archive: unique, in order, without anything that a path could abuse."""
        return f"{file_stem(f'{self.number + 1:05d}', self.id)}.{suffix}"


@dataclass(frozen=True)
class Upload(Job):
    """A bulk job of one shard, whose lines have at most ``longest`` characters.

    ``variants`` are those that its lines name, ``variant`` is that of the others.
    """

    variant: str | None = None
    longest: int = 0
    variants: frozenset[str | None] = frozenset()

    @property
    def bundle_hash(self) -> str:
        """None: each line has a bundle of its own, which may be exchanged meanwhile."""
        return ""

    def lines(self) -> Iterator[UploadLine]:
        """All lines, in order, read from the file while they are asked for."""
        return (self.line(record, number) for number, record in enumerate(self.corpus.records()))

    def line(self, record: Record, number: int) -> UploadLine:
        """A record's line; :class:`InputError`, :class:`TooLargeError`."""
        row = self.corpus.row(record)
        if unknown := set(row) - set(_COLUMNS):
            known = ", ".join(_COLUMNS)
            raise InputError(f"unknown field {brief(sorted(unknown)[0])}; known: {known}.")
        named = row.get("variant")
        if isinstance(named, bool) or not isinstance(named, (str, int, NoneType)):
            raise InputError(f"variant is {brief(named)}; expected text.")
        if absent(row.get("id")):
            row = {**row, "id": str(number + 1)}
        line = parse_line(number, row, self.settings.defaults)
        if len(line.text) > self.longest:
            raise TooLargeError(
                f"the text has {len(line.text)} characters; at most {self.longest}."
            )
        variant = self.variant if absent(named) else str(named)
        return UploadLine(number, line.id, line.text, line.voice, line.options, variant)


def receive(
    stream: IO[bytes],
    name: str,
    folder: Path,
    defaults: SpeechRequest,
    form: AudioFormat = "wav",
    *,
    most: int,
    longest: int,
    encoding: str | None = None,
) -> Upload:
    """The file ``stream``, which ``name`` says the form of, kept in ``folder`` and checked.

    ``.csv`` and ``.tsv`` need a column ``text``, ``.jsonl`` an object with ``text`` on each line;
    anything else is one text a line.  All may give ``id``, ``variant`` and the fields of a request,
    which go before ``defaults``.  ``encoding`` is that of a file that is neither UTF-8 nor has a
    byte order mark.  Memory does not grow with the file.  Raises :class:`InputError` naming the
    line, :class:`TooLargeError` for more than ``most`` lines.
    """
    path = folder / f"upload.{_KINDS.get(name.lower().rpartition('.')[2], 'txt')}"
    with path.open("w", encoding="utf-8", newline="") as text:
        text.writelines(read_blocks(stream, "the file", encoding))
    corpus = Corpus((path,), strict=True)
    voice = None if defaults.voice is None else str(defaults.voice)
    # Lines without a seed take theirs from one that is drawn for the job.
    given = Defaults(voice, secrets.randbelow(1 << 32), defaults.options)
    # The file has the texts; the manifest takes them from there.
    settings = Settings(given, form, shard_lines=most, keep_text=False)
    files = ({"name": path.name, "bytes": path.stat().st_size},)

    empty = Scan(0, most, (BEGINNING,), files)
    return _checked(
        Upload(corpus, empty, folder, folder, settings, defaults.variant, longest), path, most
    )


def _checked(upload: Upload, path: Path, most: int) -> Upload:
    """The upload with its lines counted, each of which was seen to be one."""
    count, variants = 0, set()
    try:
        for record in upload.corpus.records():
            if count == most:
                raise TooLargeError(f"the file has more than {most} lines, which a job may have.")
            try:
                variants.add(upload.line(record, count).variant)
            except InputError as error:
                kind = TooLargeError if isinstance(error, TooLargeError) else InputError
                raise kind(f"line {_place(path, record)}: {error}") from error
            count += 1
    except CorpusError as error:
        raise InputError(str(error).replace(str(path), "the file")) from error
    if not count:
        raise InputError("the file has no lines to speak.")
    return replace(upload, scan=replace(upload.scan, lines=count), variants=frozenset(variants))


def _place(path: Path, record: Record) -> int:
    """The number, from 1, of the file's line that ends a record."""
    with path.open("rb") as stream:
        data: Any = stream.read(record.end.offset)
    return int(data.count(b"\n")) + (not data.endswith(b"\n"))
