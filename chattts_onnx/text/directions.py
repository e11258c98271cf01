"""Directions to the speaker in a text: ``[pause:1s]`` and ``[voice:NAME]``.

They hold however the text is carried and read.  Each becomes one character, which no user can type,
until pieces are cut there; a backslash before one makes it text again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..errors import InputError
from ..untrusted import brief_text
from .core import pauses
from .core.report import Report

# A voice's text form is the longest value.
_LONGEST = 4096
_DIRECTION = re.compile(
    rf"(?P<escape>\\?)(?P<whole>\[(?P<kind>pause|voice):(?P<value>[^\[\]\n]{{0,{_LONGEST}}})\])",
    re.IGNORECASE,
)
_OPEN = re.compile(r"\\?\[(?:[a-z]{0,4}|(?:pause|voice)(?::[^\[\]\n]*)?)\Z|\\\Z", re.IGNORECASE)
_FIRST, _MOST = 0xE800, 0x800
VOICE = f"[{chr(_FIRST)}-{chr(_FIRST + _MOST - 1)}]"
_VOICE = re.compile(VOICE)


@dataclass
class Directions:
    """Reads the directions of one text; ``voices`` are the names so far, in order."""

    report: Report = field(default_factory=Report)
    voices: list[str] = field(default_factory=list)

    def read(self, text: str) -> str:
        """``text`` with a character for each direction.

        Raises :class:`InputError` for a pause that has no length.
        """
        text = _VOICE.sub("", pauses.without(text))
        return _DIRECTION.sub(self._mark, text) if "[" in text else text

    def parts(self, blocks: Iterable[str]) -> Iterator[str]:
        """As :meth:`read`, of a text that comes in parts."""
        rest = ""
        for block in blocks:
            rest += block
            open_ = _OPEN.search(rest, max(0, len(rest) - _LONGEST))
            cut = open_.start() if open_ else len(rest)
            yield self.read(rest[:cut])
            rest = rest[cut:]
        yield self.read(rest)

    def voice(self, mark: str) -> str | None:
        """The name that a character of :data:`VOICE` stands for, None for the speech's own."""
        return self.voices[ord(mark) - _FIRST] or None

    def _mark(self, match: re.Match[str]) -> str:
        if match["escape"]:
            return match["whole"]
        value, kind = match["value"].strip(), match["kind"].lower()
        if kind == "pause":
            seconds = pauses.parse_length(value)
            if seconds is None:
                raise InputError(
                    f"{brief_text(match['whole'])}: expected a length such as [pause:1s] or "
                    "[pause:500ms]; \\[ makes it text."
                )
            mark = pauses.asked(seconds)
            self.report.add("pause", match["whole"], pauses.described(mark))
            return mark
        if value not in self.voices:
            if len(self.voices) == _MOST:
                raise InputError(f"the text names over {_MOST} voices; split it.")
            self.voices.append(value)
        self.report.add("voice", match["whole"], "")
        return chr(_FIRST + self.voices.index(value))


def is_voice(sentence: str) -> bool:
    """Whether ``sentence`` is nothing but a character of :data:`VOICE`."""
    return len(sentence) == 1 and _VOICE.match(sentence) is not None


def without_voices(text: str) -> str:
    """``text`` without voices: what is left of them where nothing is cut."""
    return _VOICE.sub("", text)


def voices_named(text: str) -> set[str]:
    """Names of the voices that ``text`` directs to."""
    return {
        value
        for match in _DIRECTION.finditer(text)
        if not match["escape"]
        and match["kind"].lower() == "voice"
        and (value := match["value"].strip())
    }
