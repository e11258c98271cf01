"""One line of a corpus: its columns, checked, and the seed that it is spoken with."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..untrusted import brief
from .errors import LineError

COLUMNS = ("text", "id", "voice", "seed", "speed")
_SPEEDS = range(10)
# Seeds go into 32 bits, as many as a voice drawn from one can tell apart.
_SEED_BYTES = 4
_MAX_ID = 1000


@dataclass(frozen=True)
class Defaults:
    """What a line takes where it has no column of its own.

    ``seed`` starts the seeds of lines without one.
    """

    voice: str | None = None
    seed: int = 0
    speed: int | None = None


@dataclass(frozen=True)
class Line:
    """What is spoken.  ``number`` counts the corpus's lines from 0."""

    number: int
    id: str
    text: str
    voice: str | None
    seed: int
    speed: int | None


def parse_line(number: int, fields: Mapping[str, Any], defaults: Defaults) -> Line:
    """The line of ``fields`` (a row under the names of :data:`COLUMNS`).

    An absent, empty or null column takes the default; numbers may be written as text, as CSV has
    them, or as whole floats, as data frames with gaps do.  Raises :class:`LineError`.
    """
    text = fields.get("text")
    if not isinstance(text, str) or not text.strip():
        found = "nothing" if _absent(text) else brief(text)
        raise LineError(f"found {found} in the column text, expected what is to be spoken.")
    if _has_surrogates(text):
        raise LineError("the text is not Unicode; it has halves of characters.")
    name = line_id(number, fields)
    seed = _whole(fields.get("seed"), "seed")
    speed = _whole(fields.get("speed"), "speed")
    if speed is not None and speed not in _SPEEDS:
        raise LineError(f"speed is {speed}, expected 0 to 9.")
    return Line(
        number=number,
        id=name,
        text=text,
        voice=_voice(fields.get("voice"), defaults.voice),
        seed=line_seed(defaults.seed, name) if seed is None else seed,
        speed=defaults.speed if speed is None else speed,
    )


def line_id(number: int, fields: Mapping[str, Any]) -> str:
    """The line's id; its number where it has none.  Raises :class:`LineError`."""
    value = fields.get("id")
    if _absent(value):
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


def _voice(value: Any, default: str | None) -> str | None:
    if _absent(value):
        return default
    if isinstance(value, str):
        return value.strip()
    number = _whole(value, "voice")
    return str(number)


def _whole(value: Any, name: str) -> int | None:
    if _absent(value):
        return None
    number: int | None = None
    if isinstance(value, str):
        digits = value.strip().removesuffix(".0")
        number = int(digits) if digits.isdecimal() and len(digits) < 20 else None
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    if number is None or not 0 <= number < 1 << 63:
        raise LineError(f"{name} is {brief(value)}, expected a whole number of at least 0.")
    return number


def _absent(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, str) and not value.strip())
        or (isinstance(value, float) and math.isnan(value))
    )


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)
