"""What readers of files that may hold anything share: bounded reads, JSON, values in messages."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any

_LONGEST = 200
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def read_limited(path: Path, most: int) -> bytes:
    """A file's bytes; ``ValueError`` where it has more than ``most``, ``OSError`` as ever."""
    with path.open("rb") as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it has more than {most} bytes")
    return data


def parse_json(text: str | bytes, **options: Any) -> Any:
    """:func:`json.loads` whose only error is ``ValueError``, also for what is nested too deeply."""
    try:
        return json.loads(text, **options)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def brief(value: object) -> str:
    """``repr`` of a value from a file for a message: short, whatever the value holds."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # a number with more digits than Python writes
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def brief_text(text: object, most: int = 600) -> str:
    """A text for a message, such as a library's error: short, and always encodable."""
    shown = str(text).encode("utf-8", "backslashreplace").decode()
    return shown if len(shown) <= most else f"{shown[:most]}..."
