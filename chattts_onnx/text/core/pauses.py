"""Pauses inside a text: one character each, which no user can type, until pieces are cut there.

Silence that an author asked for (``<break time="500ms"/>``) adds up; silence that the layout asks
for (a heading's end, a list item's) does not: a paragraph that ends a list is one pause.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Seconds of silence, by what ends.
PARAGRAPH, SENTENCE, CLAUSE, WORD = 0.7, 0.35, 0.15, 0.0
# SSML engines limit a pause as well; it keeps one tag from making an hour of silence.
LONGEST = 10.0

_STEP = 0.01
_ASKED, _LAYOUT = 0xE000, 0xE400
_SIZE = round(LONGEST / _STEP)
PAUSE = f"[{chr(_ASKED)}-{chr(_ASKED + _SIZE)}{chr(_LAYOUT)}-{chr(_LAYOUT + _SIZE)}]"
_PAUSE = re.compile(PAUSE)
_RUN = re.compile(rf"{PAUSE}(?:\s*{PAUSE})*")
_END = re.compile(rf"{PAUSE}(?:\s|{PAUSE})*\Z")
# Where nothing is cut, a longer pause is a stop.
_STOP = 0.6
_LENGTH = re.compile(r"\s*\+?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(ms|s)?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Pause:
    """``seconds`` of silence between what is spoken, of which the author asked for ``asked``: these
    are kept before the first word and after the last one, too.
    """

    seconds: float
    asked: float = 0.0


def parse_length(written: str) -> float | None:
    """Seconds of ``500ms``, ``1.5s`` or ``2``; None of anything else."""
    match = _LENGTH.fullmatch(written)
    if match is None:
        return None
    return float(match[1]) * (0.001 if (match[2] or "s").lower() == "ms" else 1.0)


def asked(seconds: float) -> str:
    """The character of a pause that the author asked for, of at most :data:`LONGEST` seconds."""
    return chr(_ASKED + round(min(max(seconds, 0.0), LONGEST) / _STEP))


def layout(seconds: float) -> str:
    """The character of a pause that the layout asks for."""
    return chr(_LAYOUT + round(min(seconds, LONGEST) / _STEP))


def length(marks: str) -> Pause:
    """The pause that a run of pauses makes; other characters count nothing."""
    sizes = [ord(c) for c in _PAUSE.findall(marks)]
    own = sum(size - _ASKED for size in sizes if size < _LAYOUT)
    longest = max([own, *(size - _LAYOUT for size in sizes if size >= _LAYOUT)])
    return Pause(*(min(round(size * _STEP, 2), LONGEST) for size in (longest, own)))


def ends_sentence(marks: str) -> bool:
    """Whether the layout, and not only the author, pauses here for a sentence or more."""
    return any(ord(c) >= _LAYOUT + SENTENCE / _STEP for c in _PAUSE.findall(marks))


def without(text: str) -> str:
    """``text`` without pauses."""
    return _PAUSE.sub("", text)


def described(text: str) -> str:
    """``text`` with each pause as a reader of a report sees it: [pause 0.50 s]."""
    return _RUN.sub(lambda m: f"[pause {length(m.group()).seconds:.2f} s]", text)


def as_marks(text: str) -> str:
    """``text`` with a stop or a comma for each pause: what is left of it where nothing is cut."""
    text = text.rstrip() if not text or not _PAUSE.match(text[-1]) else _END.sub("", text)
    return _RUN.sub(_mark, text)


def _mark(match: re.Match[str]) -> str:
    wide = match.string[match.start() - 1 : match.start()] > "\u2e80"
    if length(match.group()).seconds > _STOP:
        return "。" if wide else ". "
    return "，" if wide else ", "
