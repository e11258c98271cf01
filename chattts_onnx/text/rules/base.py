"""What a rule is: a pattern, and a function that says a match of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..core.context import Place, Reader

# Not part of a longer number or word.
START = r"(?<![A-Za-z0-9])(?<![0-9][.,:/])"
END = r"(?![0-9])(?![.,:/][0-9])"
NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+"
INTEGER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
# No sign but a dash after an identifier, or after a quantity of time or money (5天-7天).
SIGN = (
    r"(?:(?<![A-Za-z0-9)\]])(?<![0-9一二三四五六七八九十百千万亿半][日号月年时点分秒天岁元度周])"
    r"(?<!小时)(?<!分钟)[-+±])"
)
# "a 5 kg bag": the unit stands as an adjective.
ARTICLE = re.compile(r"\b[Aa]n?\s$")
# Between the two ends of a range.
TO = r"\s?(?:[-–—~～]|至|到)\s?"

Read = Callable[[re.Match[str], Place, Reader], str | None]


@dataclass(frozen=True)
class Rule:
    """Reads what ``pattern`` matches at a place, in the words of the reader for it.

    ``read`` returns None where the rule does not apply.
    """

    name: str
    pattern: re.Pattern[str]
    read: Read

    @property
    def why(self) -> str:
        """What the rule reads, in its own words and examples."""
        return " ".join((self.read.__doc__ or "").split())


def rule(name: str, pattern: str, flags: int = 0) -> Callable[[Read], Rule]:
    """Decorator that makes a :class:`Rule` of its reading function."""

    def make(read: Read) -> Rule:
        return Rule(name, re.compile(pattern, flags), read)

    return make
