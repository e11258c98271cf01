"""Control tags in a text: ``[laugh]``, ``[uv_break]``, ``[speed_5]``."""

from __future__ import annotations

import re
from collections.abc import Iterator

# The control tokens of the official tokenizer that a text may hold.
_NAMES = (
    r"uv_break|v_break|lbreak|llbreak|laugh(?:_[0-2])?|break_[0-7]|oral_[0-9]|speed_[0-9]"
    r"|music|pure"
)
TAG = re.compile(rf"\[(?:{_NAMES})\]", re.IGNORECASE)


def split_tags(text: str) -> Iterator[tuple[str, bool]]:
    """Parts of ``text`` in order, each with whether it is a tag; tags come in lower case."""
    start = 0
    for match in TAG.finditer(text):
        if match.start() > start:
            yield text[start : match.start()], False
        yield match.group().lower(), True
        start = match.end()
    if start < len(text):
        yield text[start:], False
