"""Replacing what stands between two marks, in one pass whatever the text is."""

from __future__ import annotations

import re
from collections.abc import Callable


def replace_spans(
    text: str, start: re.Pattern[str], stop: re.Pattern[str], replace: Callable[[str, str], str]
) -> str:
    """``text`` with ``replace(whole, inner)`` for each span; a start without a stop stays.

    A lazy pattern would look for the missing stop again from every start.
    """
    parts, position = [], 0
    while match := start.search(text, position):
        end = stop.search(text, match.end())
        if end is None:
            break
        parts.append(text[position : match.start()])
        parts.append(replace(text[match.start() : end.end()], text[match.end() : end.start()]))
        position = end.end()
    return "".join([*parts, text[position:]]) if parts else text
