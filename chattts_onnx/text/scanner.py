"""Finds the numbers of a text and lets the first rule that applies read each."""

from __future__ import annotations

import re

from .core.context import Place
from .core.currencies import CURRENCY
from .core.language import is_latin
from .core.units import UNIT_BELOW
from .rules import RULES, Rule
from .rules.plain import bullet

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?,?\s(?=[0-9])"
_PARTS = r"[A-Z][a-z]+\s(?=[IVXLC]+\b)"
# Where a number may begin: its sign, currency, bracket, month or own first digit.
_ANCHOR = re.compile(
    rf"(?<![A-Za-z]){_MONTH}|(?<![A-Za-z]){_PARTS}|[vV]\.?\s?(?=[0-9])|№|#(?=[0-9])"
    r"|(?<![A-Za-z])[Nn][Oo]s?\.\s?(?=[0-9])"
    rf"|[-+](?={CURRENCY})|{CURRENCY}(?=\s?[-.0-9])|[-+±](?=\.?[0-9])|(?:<=|>=|!=|==|[<>≤≥≈~～])(?=\s?-?[.0-9])"
    rf"|\*(?=[0-9])|/(?={UNIT_BELOW})|/(?=[\u4e00-\u9fff])|[-–—~～](?=周|星期|礼拜|[0-9])"
    r"|[(（](?=[0-9])|\+(?=[0-9])|'(?=[0-9]0s)|\^(?=[-+(0-9a-z])|\*\*(?=[-+(0-9])|\.(?=[0-9])|[0-9]"
    r"|(?<=[A-Za-z])\+(?![0-9A-Za-z+=])"
    r"|(?<=[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使][A-Z])[·•‧.\s-]?(?=[A-Z0-9]{5})"
)


def read_numbers(place: Place) -> str:
    """The place's text with every number in words; no ASCII digit is left."""
    text, parts, position = place.text, [], 0
    if first := bullet.pattern.match(text):
        spoken = bullet.read(first, place, place.reader(*first.span()))
        parts.append(_note(place, first, spoken, bullet))
        position = first.end()
    while anchor := _ANCHOR.search(text, position):
        start = anchor.start()
        parts.append(text[position:start])
        position = _read(place, start, parts)
    parts.append(text[position:])
    return "".join(parts)


def _read(place: Place, start: int, parts: list[str]) -> int:
    """Append what is said from ``start`` on; returns where reading goes on."""
    for rule in RULES:
        match = rule.pattern.match(place.text, start)
        if match is None or match.end() == start:
            continue
        spoken = rule.read(match, place, place.reader(*match.span()))
        if spoken is not None:
            before = parts[-1] if parts[-1] or len(parts) < 2 else parts[-2]
            parts.append(_spaced(_note(place, match, spoken, rule), before, place, match))
            return match.end()
    parts.append(place.text[start])
    return start + 1


def _note(place: Place, match: re.Match[str], spoken: str | None, rule: Rule) -> str:
    return place.report.add(rule.name, match.group(), spoken or "", rule.why)


def _spaced(spoken: str, before: str, place: Place, match: re.Match[str]) -> str:
    """English words keep a space to letters beside them; Chinese needs none."""
    following = place.text[match.end() : match.end() + 1]
    if spoken and is_latin(spoken[0]) and before and (before[-1].isalnum()):
        spoken = " " + spoken
    if following and is_latin(spoken[-1:] or " ") and (following.isalnum()):
        spoken += " "
    return spoken
