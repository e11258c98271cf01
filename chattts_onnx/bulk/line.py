"""One line of a corpus: its columns, checked, and the seed that it is spoken with."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError
from ..speech.options import OPTIONS, SpeechOptions, absent, check_options, read_options
from ..untrusted import brief
from .errors import LineError

COLUMNS = ("text", "id", "voice", *(option.shown for option in OPTIONS.values()))
# Seeds go into 32 bits, as many as a voice drawn from one can tell apart.
_SEED_BYTES = 4
_MAX_ID = 1000
# Whole scripts are kept, but no dot: it begins a suffix, and two lead upwards.
_UNSAFE = re.compile(r"[^\w-]+")
_SHOWN_BYTES = 59
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Defaults:
    """What a line takes where it has no column of its own.

    ``seed`` starts the seeds of lines without one; ``options`` are all others.
    """

    voice: str | None = None
    seed: int = 0
    options: SpeechOptions = field(default_factory=SpeechOptions)

    def __post_init__(self) -> None:
        check_options({**self.options, "seed": self.seed})


@dataclass(frozen=True)
class Line:
    """What is spoken.  ``number`` counts the corpus's lines from 0; ``options`` hold a seed."""

    number: int
    id: str
    text: str
    voice: str | None
    options: SpeechOptions


def parse_line(number: int, fields: Mapping[str, Any], defaults: Defaults) -> Line:
    """The line of ``fields`` (a row under the names of :data:`COLUMNS`).

    An absent, empty or null column takes the default; numbers may be written as text, as CSV has
    them, or as whole floats, as data frames with gaps do.  Raises :class:`LineError`.
    """
    text = fields.get("text")
    if not isinstance(text, str) or not text.strip():
        found = "nothing" if absent(text) else brief(text)
        raise LineError(f"found {found} in the column text, expected what is to be spoken.")
    if _has_surrogates(text):
        raise LineError("the text is not Unicode; it has halves of characters.")
    name = line_id(number, fields)
    try:
        own = read_options(fields)
    except InputError as error:
        raise LineError(str(error)) from error
    options: SpeechOptions = {**defaults.options, **own}
    options.setdefault("seed", line_seed(defaults.seed, name))
    return Line(number, name, text, _voice(fields.get("voice"), defaults.voice), options)


def line_id(number: int, fields: Mapping[str, Any]) -> str:
    """The line's id; its number where it has none.  Raises :class:`LineError`."""
    value = fields.get("id")
    if absent(value):
        return str(number)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise LineError(f"id is {brief(value)}, expected text or a number.")
    name = str(value)
    if len(name) > _MAX_ID or _has_surrogates(name):
        raise LineError(f"id has {len(name)} characters, expected at most {_MAX_ID} of UTF-8.")
    return name


def line_seed(seed: int, name: str) -> int:
    """The seed of the line called ``name``, whatever stands before it in the corpus."""
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return int.from_bytes(digest[:_SEED_BYTES], "little")


def file_stem(place: str, name: str) -> str:
    """Name of a line's files without their suffix: its ``place`` (digits), and its id where it has
    one of its own, as far as a path and a key of WebDataset can hold it.

    Unique and in order by the place; at most 60 bytes longer, so that USTAR takes it.
    """
    safe = _UNSAFE.sub("_", name).encode()[:_SHOWN_BYTES].decode(errors="ignore").strip("_")
    return place if safe in ("", str(int(place))) else f"{place}_{safe}"


def _voice(value: Any, default: str | None) -> str | None:
    if absent(value):
        return default
    if isinstance(value, str):
        return value.strip()
    try:
        return str(OPTIONS["seed"].read(value))
    except InputError as error:
        raise LineError(f"voice is {brief(value)}; expected a seed, a name or a file.") from error


def _has_surrogates(text: str) -> bool:
    return _SURROGATE.search(text) is not None
