"""The lines of a batch job: plain text, CSV or JSONL as uploaded."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, replace
from typing import Any

from ..charset import decode, require_text
from ..errors import InputError
from ..untrusted import brief, parse_json
from .errors import TooLargeError
from .requests import SpeechRequest

# Column -> field of SpeechRequest and how it is read.
_COLUMNS: dict[str, type] = {
    "voice": str,
    "variant": str,
    "speed": int,
    "seed": int,
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "max_new_tokens": int,
    "language": str,
    "markup": str,
    "code": str,
}
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Line:
    """One utterance of a job: its ``number`` from 1, the user's ``id``, and what to speak."""

    number: int
    id: str
    request: SpeechRequest

    def file_name(self, suffix: str) -> str:
        """A name for the archive: unique, in order, without anything that a path could abuse."""
        safe = re.sub(r"\.{2,}", ".", _UNSAFE.sub("_", self.id)).strip("._")[:60]
        stem = (
            f"{self.number:05d}" if safe in ("", str(self.number)) else f"{self.number:05d}_{safe}"
        )
        return f"{stem}.{suffix}"


def read_lines(
    data: bytes,
    name: str,
    defaults: SpeechRequest,
    most: int,
    longest: int,
    encoding: str | None = None,
) -> list[Line]:
    """The lines of an uploaded file; its ``name``'s suffix tells the form.

    ``encoding`` is that of a file that is neither UTF-8 nor has a byte order mark.

    ``.csv`` and ``.tsv`` need a column ``text``, ``.jsonl`` an object with ``text`` on each line;
    anything else is one text a line.  All may give ``id`` and the fields of a request, which go
    before ``defaults``.  Raises :class:`InputError` naming the line, before anything is spoken.
    """
    text = decode(data, "the file", encoding, hint="save it as UTF-8, or name its encoding")
    suffix = name.lower().rpartition(".")[2]
    if suffix in ("csv", "tsv"):
        rows = _csv_rows(text, "\t" if suffix == "tsv" else ",")
    elif suffix in ("jsonl", "ndjson"):
        rows = _json_rows(text)
    else:
        rows = [(i, {"text": row}) for i, row in enumerate(text.splitlines(), 1) if row.strip()]
    if not rows:
        raise InputError("the file has no lines to speak.")
    if len(rows) > most:
        raise TooLargeError(f"the file has {len(rows)} lines; this server takes {most} a job.")
    return [_line(at, n, row, defaults, longest) for n, (at, row) in enumerate(rows, 1)]


def _line(at: int, number: int, row: dict[str, Any], defaults: SpeechRequest, longest: int) -> Line:
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"line {at}: there is no text; expected a column or key 'text'.")
    require_text(text, f"line {at}: the text")
    if len(text) > longest:
        raise TooLargeError(f"line {at}: the text has {len(text)} characters; at most {longest}.")
    if unknown := set(row) - {"text", "id", *_COLUMNS}:
        raise InputError(
            f"line {at}: unknown field {brief(sorted(unknown)[0])}; known: text, id, "
            f"{', '.join(_COLUMNS)}."
        )
    changes: dict[str, Any] = {"text": text}
    for column, kind in _COLUMNS.items():
        value = row.get(column)
        if value is None or value == "":
            continue
        try:
            if isinstance(value, bool) or (kind is int and isinstance(value, float)):
                raise ValueError
            changes[column] = kind(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(f"line {at}: {column} is no {kind.__name__}.") from error
    return Line(number, str(row.get("id") or number), replace(defaults, **changes))


def _csv_rows(text: str, delimiter: str) -> list[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        if "text" not in (reader.fieldnames or []):
            raise InputError("the table has no column 'text'; its first line names the columns.")
        rows = []
        for row in reader:
            if None in row:
                raise InputError(f"line {reader.line_num}: more fields than columns.")
            rows.append((reader.line_num, dict(row)))
        return rows
    except csv.Error as error:
        raise InputError(f"line {reader.line_num}: {error}.") from error


def _json_rows(text: str) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    for at, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except ValueError as error:
            raise InputError(f"line {at}: not valid JSON.") from error
        if not isinstance(value, dict):
            raise InputError(f"line {at}: expected a JSON object.")
        rows.append((at, value))
    return rows
