"""Where a number stands: the language around it, the words before and after it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from . import chinese, english
from .language import Spoken, english_phrases
from .options import TextOptions
from .report import Report
from .units import UNIT_PATTERN

_SEPARATORS = str.maketrans("", "", ", '")
_UNIT_AFTER = re.compile(r"\s?[%‰]|[a-zA-Zμ]{1,4}(?![A-Za-z])")

# A number of 8 or more digits without separators is an identifier unless it is round.
LONG = 8


class Place:
    """One text while its numbers are read."""

    def __init__(self, text: str, options: TextOptions, report: Report, default: Spoken) -> None:
        self.text = text
        self.options = options
        self.report = report
        self._default: Spoken = default

    def before(self, position: int, count: int = 12) -> str:
        """Up to ``count`` characters before ``position``."""
        return self.text[max(0, position - count) : position]

    def after(self, position: int, count: int = 12) -> str:
        """Up to ``count`` characters from ``position`` on."""
        return self.text[position : position + count]

    def reader(self, start: int, end: int) -> Reader:
        """How numbers are spoken between ``start`` and ``end``."""
        return Reader(self.language(start, end), self.options)

    def language(self, start: int, end: int) -> Spoken:
        """The caller's; else English in an English text or an English phrase of a Chinese one."""
        if self.options.language != "auto":
            return self.options.language
        if self._default == "en":
            return "en"
        return "en" if self._english[start] and self._english[end] else "zh"

    @cached_property
    def _english(self) -> list[bool]:
        return english_phrases(self.text)


@dataclass(frozen=True)
class Reader:
    """Speaks the parts of numbers in one language, under the user's options."""

    language: Spoken
    options: TextOptions

    @property
    def zh(self) -> bool:
        """Whether the language is Chinese."""
        return self.language == "zh"

    def number(self, written: str, following: str = "") -> str:
        """A quantity such as 1,234.50; ``following`` decides between 二 and 两."""
        plain = written.translate(_SEPARATORS)
        if self.options.numbers == "digits":
            return self.digit_by_digit(plain)
        whole = plain.partition(".")[0]
        if len(whole) > 1 and whole.startswith("0"):
            return self.digit_by_digit(plain)
        return chinese.counted(plain, following) if self.zh else english.number(plain)

    def signed(self, sign: str, written: str, following: str = "") -> str:
        """A quantity with a sign, which may be empty."""
        return self.sign(sign) + self.number(written, following if not sign else "")

    def sign(self, sign: str) -> str:
        """The word for a sign, with its space in English."""
        signs = {"-": ("负", "minus "), "+": ("正", "plus "), "±": ("正负", "plus or minus ")}
        return signs[sign][0 if self.zh else 1] if sign in signs else ""

    def integer(self, written: str) -> str:
        """An ordinal's or a part's number: never 两."""
        if self.options.numbers == "digits":
            return self.digit_by_digit(written)
        plain = written.translate(_SEPARATORS)
        if "." in plain:
            return self.number(plain)
        return chinese.cardinal(plain) if self.zh else english.cardinal(plain)

    def code(self, written: str) -> str:
        """An identifier: digit by digit, unless numbers are forced."""
        if self.options.numbers == "cardinal" and not written.startswith("0"):
            return self.number(written)
        return self.digit_by_digit(written)

    def digit_by_digit(self, written: str) -> str:
        """Each digit, and the point if there is one."""
        speak = chinese.digits if self.zh else english.digits
        parts = [speak(part) for part in written.split(".")]
        return ("点" if self.zh else " point ").join(parts)

    def phone(self, *groups: str | None) -> str:
        """A phone number in groups; a pause stands between them."""
        one = "幺" if self.zh and self.options.yao else None
        speak: Callable[..., str] = chinese.digits if self.zh else english.digits
        spoken = [speak(g, one) if one else speak(g) for g in groups if g]
        return ("，" if self.zh else ", ").join(spoken)

    def say(self, zh: str, en: str) -> str:
        """One of two wordings."""
        return zh if self.zh else en


def unit_follows(after: str) -> bool:
    """Whether what follows a number looks like its unit or measure word."""
    start = after[:1].isspace()
    return bool(
        _UNIT_AFTER.match(after) or UNIT_PATTERN.match(after, start) or chinese.is_measure(after)
    )
