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


def stand_in(head: bytes) -> str | None:
    """What stands where a file should be, told by its first bytes (some 100); None for neither.

    Git without LFS, a browser's "save link as" and an expired link all leave a small file under
    the right name.
    """
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs.github.com/"):
        return "a git-lfs pointer, not the file itself; run `git lfs pull` where it came from"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<error")):
        return "a web page, such as a login or an error; download the raw file again"
    if start.startswith((b'{"error"', b'{"message"', b"entry not found", b"invalid username")):
        return "a server's error in place of the file; download it again"
    return None


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
