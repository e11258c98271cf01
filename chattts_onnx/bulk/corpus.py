"""Corpora of any length, read as a stream: JSONL, CSV, Parquet, and a text a line.

A corpus is one or several files of one format.  A :class:`Place` says where a record begins, so
that a shard can be read without those before it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from ..charset import decode, detect, known
from ..errors import InputError
from ..format.files import hash_file
from ..untrusted import brief, brief_text, parse_json
from .errors import CorpusError, LineError
from .line import COLUMNS

# A line longer than this is damage, not text to be spoken.
MAX_LINE_BYTES = 1 << 20
_BLOCK = 1 << 20
_ROWS = 256
_FORMATS = ".jsonl, .csv, .tsv, .parquet or .txt"


class Place(NamedTuple):
    """Where a record begins: index of the file, and a byte (or, in Parquet, a row) within it."""

    file: int
    offset: int


BEGINNING = Place(0, 0)


class Record(NamedTuple):
    """A record as it stands in the file; ``end`` is the place of the next."""

    raw: Any
    end: Place


class Reader(Protocol):
    """One format."""

    def records(self, path: Path, offset: int) -> Iterator[tuple[Any, int]]:
        """Raw records from ``offset`` on (0: the file's beginning), each with its end."""
        ...

    def fields(self, raw: Any) -> dict[str, Any]:
        """A raw record's columns; :class:`LineError` when it is damaged."""
        ...


@dataclass(frozen=True)
class Corpus:
    """Files read as one; ``columns`` maps names of :data:`.COLUMNS` to those in the files.

    ``encoding`` is that of a text file without a byte order mark; UTF-8 by default.  ``strict``
    refuses CSV that is not well formed where a reader may guess what is meant.
    """

    paths: tuple[Path, ...]
    columns: tuple[tuple[str, str], ...] = ()
    delimiter: str | None = None
    encoding: str | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        if not self.paths:
            raise CorpusError(f"no corpus was named; expected {_FORMATS} files.")
        for path in self.paths:
            if not path.is_file():
                raise CorpusError(f"{path} not found; expected a corpus.")
        if len({_kind(path) for path in self.paths}) > 1:
            raise CorpusError("the corpus mixes formats; expected files of one format.")
        if self.encoding is not None:
            known(self.encoding)
        for ours, _ in self.columns:
            if ours not in COLUMNS:
                raise CorpusError(f"found no column {ours!r}; expected one of {list(COLUMNS)}.")

    def records(self, start: Place | None = None) -> Iterator[Record]:
        """All records from ``start`` on."""
        start, reader = start or BEGINNING, self._reader()
        for index, path in enumerate(self.paths[start.file :], start.file):
            offset = start.offset if index == start.file else 0
            try:
                for raw, end in reader.records(path, offset):
                    yield Record(raw, Place(index, end))
            except OSError as error:
                raise CorpusError(f"{path} cannot be read: {error.strerror or error}.") from error

    def fields(self, record: Record) -> dict[str, Any]:
        """Columns of a record under this project's names; :class:`LineError` when damaged."""
        found = self.row(record)
        return {name: found.get(theirs) for name, theirs in self._names().items()}

    def row(self, record: Record) -> dict[str, Any]:
        """All columns of a record under the file's names; :class:`LineError` when damaged."""
        return self._reader().fields(record.raw)

    def _names(self) -> dict[str, str]:
        return {name: name for name in COLUMNS} | dict(self.columns)

    def _reader(self) -> Reader:
        kind = _kind(self.paths[0])
        if kind == "jsonl":
            return _Jsonl(self.encoding)
        if kind == "txt":
            return _Text(self.encoding)
        if kind == "parquet":
            return _Parquet(self._names())
        tab = self.paths[0].suffix.lower() == ".tsv"
        delimiter = self.delimiter or ("\t" if tab else ",")
        return _Csv(self._names(), delimiter, self.encoding, self.strict)


@dataclass(frozen=True)
class Scan:
    """What one pass over a corpus found.

    ``starts`` are the places of the first line of each shard; ``files`` name, size and sha256.
    """

    lines: int
    shard_lines: int
    starts: tuple[Place, ...]
    files: tuple[Mapping[str, Any], ...]

    def numbers(self, shard: int) -> range:
        """Numbers of the lines of a shard."""
        first = shard * self.shard_lines
        return range(first, min(first + self.shard_lines, self.lines))


def scan(corpus: Corpus, shard_lines: int) -> Scan:
    """Count the lines and find where shards begin, in memory that grows with shards alone.

    Raises :class:`CorpusError` on files without a column of text, or without a line.
    """
    starts: list[Place] = []
    here, lines = BEGINNING, 0
    for record in corpus.records():
        if lines % shard_lines == 0:
            starts.append(here)
        here, lines = record.end, lines + 1
    if not lines:
        names = ", ".join(path.name for path in corpus.paths)
        raise CorpusError(f"found no line in {names}; expected at least one.")
    files = [
        {"name": path.name, "bytes": path.stat().st_size, "sha256": hash_file(path)}
        for path in corpus.paths
    ]
    return Scan(lines, shard_lines, tuple(starts), tuple(files))


def _kind(path: Path) -> str:
    kinds = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv"}
    kind = (kinds | {".parquet": "parquet", ".txt": "txt"}).get(path.suffix.lower())
    if kind is None:
        raise CorpusError(f"{path} is no {_FORMATS} file; convert it.")
    return kind


class _Lines:
    """Lines of a file's text, each with the offset after it.

    A line that is too long, read over in blocks, or not of the encoding is a :class:`LineError`.
    """

    def __init__(self, stream: IO[bytes], encoding: str | None) -> None:
        self._stream = stream
        self._encoding, self._mark = detect(stream.read(4), encoding)
        self._newline = "\n".encode(self._encoding)
        stream.seek(self._mark)
        self.place = self._mark

    def seek(self, offset: int) -> None:
        """Go on from ``offset``, 0 being the first line."""
        self.place = max(offset, self._mark)
        self._stream.seek(self.place)

    def __iter__(self) -> Iterator[tuple[str | LineError, int]]:
        while line := self._read(MAX_LINE_BYTES):
            self.place += len(line)
            whole = len(line) < MAX_LINE_BYTES or line.endswith(self._newline)
            if not whole:
                while rest := self._read(_BLOCK):
                    self.place += len(rest)
                    if rest.endswith(self._newline):
                        break
            yield self._text(line) if whole else _too_long(), self.place

    def _read(self, most: int) -> bytes:
        """Up to the next newline, which in UTF-16 and UTF-32 is more than one byte."""
        line, width = b"", len(self._newline)
        while more := self._stream.readline(most - len(line)):
            line += more + self._stream.read(-len(more) % width)
            if width == 1 or line.endswith(self._newline) or len(line) >= most:
                break
        return line

    def _text(self, line: bytes) -> str | LineError:
        try:
            return decode(line, "the line", self._encoding)
        except InputError as error:
            return LineError(str(error))


def _too_long() -> LineError:
    return LineError(f"the line has more than {MAX_LINE_BYTES} bytes; split the text.")


class _Jsonl:
    """One JSON object a line; empty lines do not count."""

    def __init__(self, encoding: str | None) -> None:
        self._encoding = encoding

    def records(self, path: Path, offset: int) -> Iterator[tuple[str | LineError, int]]:
        with path.open("rb") as stream:
            lines = _Lines(stream, self._encoding)
            lines.seek(offset)
            for line, end in lines:
                if isinstance(line, LineError) or line.strip():
                    yield line, end

    def fields(self, raw: str | LineError) -> dict[str, Any]:
        if isinstance(raw, LineError):
            raise raw
        try:
            value = parse_json(raw)
        except ValueError as error:
            raise LineError(f"the line is no JSON: {error}.") from error
        if not isinstance(value, dict):
            raise LineError(f"the line is a {type(value).__name__}, expected an object.")
        return value


class _Text(_Jsonl):
    """One text a line."""

    def fields(self, raw: str | LineError) -> dict[str, Any]:
        if isinstance(raw, LineError):
            raise raw
        return {"text": raw.rstrip("\r\n")}


class _Csv:
    """Comma- or tab-separated values with a header; quoted fields may hold line breaks."""

    def __init__(
        self, names: Mapping[str, str], delimiter: str, encoding: str | None, strict: bool
    ) -> None:
        self._names = names
        self._delimiter = delimiter
        self._encoding = encoding
        self._strict = strict

    def records(self, path: Path, offset: int) -> Iterator[tuple[Any, int]]:
        with path.open("rb") as stream:
            source = _Counted(_Lines(stream, self._encoding))
            rows = csv.reader(source, delimiter=self._delimiter, strict=self._strict)
            header = self._header(path, rows)
            if offset:
                source.seek(offset)
            while True:
                try:
                    row = next(rows)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield LineError(f"the row is no CSV: {error}."), source.place
                    continue
                if row:
                    yield self._named(header, row), source.place

    def fields(self, raw: Any) -> dict[str, Any]:
        if isinstance(raw, LineError):
            raise raw
        return dict(raw)

    def _header(self, path: Path, rows: Iterator[list[str]]) -> list[str]:
        try:
            header = [name.strip() for name in next(rows)]
        except (StopIteration, csv.Error) as error:
            raise CorpusError(
                f"{path} has no header ({error}); expected names of columns."
            ) from error
        text = self._names["text"]
        if text not in header:
            raise CorpusError(
                f"{path} has the columns {brief(header)}; expected {text!r} (--column text=NAME)."
            )
        return header

    def _named(self, header: Sequence[str], row: Sequence[str]) -> dict[str, str] | LineError:
        if len(row) > len(header):
            return LineError(f"the row has {len(row)} fields, expected {len(header)}.")
        return dict(zip(header, row, strict=False))


class _Counted:
    """Lines for ``csv``, with the place after the last one taken."""

    def __init__(self, lines: _Lines) -> None:
        self._lines = lines
        self.seek = lines.seek

    @property
    def place(self) -> int:
        return self._lines.place

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        for line, _ in self._lines:
            if isinstance(line, LineError):
                raise csv.Error(str(line))
            return line
        raise StopIteration


class _Parquet:
    """Parquet by way of pyarrow, a few rows at a time."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def records(self, path: Path, offset: int) -> Iterator[tuple[dict[str, Any], int]]:
        arrow, parquet = _pyarrow()
        try:
            with parquet.ParquetFile(path) as file:
                columns = self._columns(path, file.schema_arrow.names)
                row = 0
                for group in range(file.num_row_groups):
                    size = file.metadata.row_group(group).num_rows
                    if row + size <= offset:
                        row += size
                        continue
                    for batch in file.iter_batches(_ROWS, row_groups=[group], columns=columns):
                        for values in batch.to_pylist():
                            row += 1
                            if row > offset:
                                yield values, row
        # Names that are no UTF-8 are UnicodeDecodeError.
        except (arrow.ArrowException, ValueError) as error:
            raise CorpusError(f"{path} cannot be read as Parquet: {brief_text(error)}") from error

    def fields(self, raw: dict[str, Any]) -> dict[str, Any]:
        return raw

    def _columns(self, path: Path, found: Sequence[str]) -> list[str]:
        text = self._names["text"]
        if text not in found:
            raise CorpusError(
                f"{path} has the columns {brief(list(found))}; expected {text!r} (--column "
                "text=NAME)."
            )
        return [name for name in dict.fromkeys(self._names.values()) if name in found]


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise CorpusError(
            "Parquet needs pyarrow; install chattts-onnx[bulk], or convert the corpus to JSONL."
        ) from error
    return pyarrow, pyarrow.parquet
