"""Spoken numbers as digits, so that ``five eighteen``, ``5:18`` and ``518`` count as the same."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..text.core.english import ONES, TENS

SCALES = {"thousand": 1000, "million": 1_000_000}
_VALUES = {word: index for index, word in enumerate(ONES)}
_VALUES |= {word: 10 * (index + 2) for index, word in enumerate(TENS)}

_CHINESE_DIGITS = {digit: value for value, digit in enumerate("零一二三四五六七八九")}
_CHINESE_DIGITS |= {"〇": 0, "两": 2, "兩": 2, "壹": 1}
_CHINESE_UNITS = {"十": 10, "百": 100, "千": 1000}
_CHINESE_LARGE = {"万": 10_000, "萬": 10_000, "亿": 100_000_000, "億": 100_000_000}
_CHINESE_NUMBER = re.compile(f"[{''.join((*_CHINESE_DIGITS, *_CHINESE_UNITS, *_CHINESE_LARGE))}]+")


def english_digits(words: Sequence[str]) -> list[str]:
    """``words`` in lower case with every number as single digits, zeros in front dropped.

    A run of digits is cut into its digits, for a listener can't tell ``5 18`` from ``518``.
    """
    found: list[str] = []
    index = 0
    while index < len(words):
        digits, used = _number(words[index:])
        found += list(digits) if used else [words[index]]
        index += used or 1
    return found


def chinese_digits(text: str) -> str:
    """``text`` with Chinese numerals as digits: 一百二十三 is 123, 二零二四 is 2024.

    Numerals within words change, too (一起 becomes 1起); texts that are compared both get it.
    """
    return _CHINESE_NUMBER.sub(lambda match: _chinese_value(match.group()), text)


def _number(words: Sequence[str]) -> tuple[str, int]:
    """The number in front of ``words``: its digits, and how many words it took (0 for none)."""
    if words[0].isascii() and words[0].isdigit():
        return words[0], 1
    if words[0] not in _VALUES:
        return "", 0
    value, used = _below_thousand(words)
    total = 0
    # one hundred twenty thousand five hundred: each scale closes what stands before it
    while 0 < value < 1000 and used < len(words) and words[used] in SCALES:
        total, value, used = total + value * SCALES[words[used]], 0, used + 1
        skip = used + (used < len(words) and words[used] == "and")
        if skip < len(words) and words[skip] in _VALUES:
            value, taken = _below_thousand(words[skip:])
            used = skip + taken
    return str(total + value), used


def _below_thousand(words: Sequence[str]) -> tuple[int, int]:
    value, used = _below_hundred(words)
    if value < 10 and used < len(words) and words[used] == "hundred":
        value, used = 100 * value, used + 1
        skip = used + (used < len(words) and words[used] == "and")
        if skip < len(words) and words[skip] in _VALUES:
            rest, taken = _below_hundred(words[skip:])
            value, used = value + rest, skip + taken
    return value, used


def _below_hundred(words: Sequence[str]) -> tuple[int, int]:
    value = _VALUES[words[0]]
    if value >= 20 and len(words) > 1 and 0 < _VALUES.get(words[1], 0) < 10:
        return value + _VALUES[words[1]], 2
    return value, 1


def _chinese_value(numeral: str) -> str:
    if not any(sign in _CHINESE_UNITS or sign in _CHINESE_LARGE for sign in numeral):
        return "".join(str(_CHINESE_DIGITS[sign]) for sign in numeral)
    total = section = digit = 0
    for sign in numeral:
        if sign in _CHINESE_DIGITS:
            digit = _CHINESE_DIGITS[sign]
        elif sign in _CHINESE_UNITS:
            # 十五 has no digit before its ten
            section += (digit or 1) * _CHINESE_UNITS[sign]
            digit = 0
        else:
            large = _CHINESE_LARGE[sign]
            # in 一亿两千万 the 万 scales two thousand alone, in 一万亿 the 亿 all before it
            before = total if total < large else 0
            total += (before + section + digit or 1) * large - before
            section = digit = 0
    return str(total + section + digit)
