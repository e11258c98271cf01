"""Numbers read back from words: the inverse of the number rules, in both languages.

It holds the normaliser to "never another value": what wetext answers counts only where the number
and the unit's prefix that were typed can be read back from it, and the drill ``spoken_values``
holds the rules to the same.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

from . import chinese, english
from .language import Spoken

_ZH_DIGITS = {word: digit for digit, word in chinese.DIGITS.items()} | {"两": "2", "幺": "1"}
_ZH_UNITS = {"十": 1, "百": 2, "千": 3}
_ZH_GROUPS = {"万": 4, "亿": 8}
_ZH_NUMBER = re.compile("[零一二三四五六七八九十百千万亿两幺]+(?:点[零一二三四五六七八九幺]+)?")
_EN_SMALL = {
    **{english.cardinal(str(n)): n for n in [*range(20), *range(20, 100, 10)]},
    **{"oh": 0},
}
_EN_SCALES = {name: 10 ** (3 * n) for n, name in enumerate(english.SCALES) if name}
_EN_WORD = rf"(?:{'|'.join(sorted([*_EN_SMALL, *_EN_SCALES, 'hundred'], key=len, reverse=True))})"
_EN_NUMBER = re.compile(rf"\b{_EN_WORD}(?: {_EN_WORD})*(?: point {_EN_WORD}(?: {_EN_WORD})*)?\b")
# Prefixes as they begin the name of a unit; 千克 and 公斤 are both kg.
_ZH_PREFIXES = {
    **{"千": 3, "兆": 6, "吉": 9, "太": 12, "拍": 15, "厘": -2},
    **{"毫": -3, "微": -6, "纳": -9, "皮": -12},
}
_EN_PREFIXES = {
    **{"kilo": 3, "mega": 6, "giga": 9, "tera": 12, "peta": 15, "centi": -2, "deci": -1},
    **{"milli": -3, "micro": -6, "nano": -9, "pico": -12},
}
_WRITTEN = {
    **{"k": 3, "K": 3, "M": 6, "G": 9, "T": 12, "P": 15, "c": -2, "d": -1},
    **{"m": -3, "μ": -6, "µ": -6, "u": -6, "n": -9, "p": -12},
}


def numbers(spoken: str, language: Spoken) -> list[Decimal]:
    """The numbers in ``spoken``, in their order; signs are not looked at."""
    if language == "zh":
        return [_chinese(match.group()) for match in _ZH_NUMBER.finditer(spoken)]
    return [_english(match.group()) for match in _EN_NUMBER.finditer(spoken.lower())]


def digits(spoken: str, language: Spoken) -> str:
    """The digits that are said one by one in ``spoken``."""
    if language == "zh":
        return "".join(_ZH_DIGITS[c] for c in spoken if c in _ZH_DIGITS)
    words = re.findall("[a-z]+", spoken.lower())
    return "".join(str(_EN_SMALL[w]) for w in words if w in _EN_SMALL and _EN_SMALL[w] < 10)


def _chinese(words: str) -> Decimal:
    whole, _, part = words.partition("点")
    if len(whole) > 1 and not set(whole) & (_ZH_UNITS.keys() | _ZH_GROUPS.keys()):
        value = Decimal("".join(_ZH_DIGITS[c] for c in whole))  # digit by digit
    else:
        value = Decimal(_chinese_integer(whole))
    return value + Decimal("0." + "".join(_ZH_DIGITS[c] for c in part)) if part else value


def _chinese_integer(words: str) -> int:
    total = section = digit = 0
    for word in words:
        if word in _ZH_UNITS:
            section += (digit or 1) * 10 ** _ZH_UNITS[word]
            digit = 0
        elif word == "万":
            total += (section + digit) * 10**4
            section = digit = 0
        elif word == "亿":
            total = (total + section + digit) * 10**8
            section = digit = 0
        else:
            digit = int(_ZH_DIGITS[word])
    return total + section + digit


def _english(words: str) -> Decimal:
    whole, _, part = words.partition(" point ")
    value = Decimal(_english_integer(whole.split()))
    if not part:
        return value
    return value + Decimal("0." + "".join(str(_EN_SMALL[w]) for w in part.split()))


def _english_integer(words: list[str]) -> int:
    small = [_EN_SMALL[w] for w in words if w in _EN_SMALL]
    if len(small) == len(words) > 1 and all(n < 10 for n in small):
        return int("".join(map(str, small)))  # digit by digit
    total = section = 0
    for word in words:
        if word == "hundred":
            section = (section or 1) * 100
        elif word in _EN_SCALES:
            total += (section or 1) * _EN_SCALES[word]
            section = 0
        else:
            section += _EN_SMALL[word]
    return total + section


class Quantity(NamedTuple):
    """A number with the power of ten of its unit's prefix."""

    number: Decimal
    exponent: int


def typed_quantity(written: str) -> Quantity | None:
    """5mW is 5 and -3; None where it is no plain number with letters."""
    match = re.fullmatch(
        r"([0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)\s?([A-Za-zμµ]+)(?:/[A-Za-z]+)?", written
    )
    if match is None:
        return None
    letters = match[2]
    exponent = _WRITTEN.get(letters[0], 0) if len(letters) > 1 else 0
    return Quantity(Decimal(match[1].replace(",", "")), exponent)


def spoken_exponent(unit: str, language: Spoken) -> int:
    """The power of ten that the name of a unit says first."""
    prefixes = _ZH_PREFIXES if language == "zh" else _EN_PREFIXES
    name = unit.strip()
    return next((size for prefix, size in prefixes.items() if name.startswith(prefix)), 0)


def same_quantity(written: str, spoken: str, language: Spoken) -> bool:
    """Whether ``spoken`` says the number of ``written``, and no other prefix of its unit."""
    typed, said = typed_quantity(written), numbers(spoken, language)
    if typed is None or not said or said[0] != typed.number:
        return False
    pattern = _ZH_NUMBER if language == "zh" else _EN_NUMBER
    match = pattern.search(spoken if language == "zh" else spoken.lower())
    unit = spoken[match.end() :] if match else ""
    exponent = spoken_exponent(unit, language)
    # A letter that could be a prefix may begin the unit's own name: mol, min.
    return exponent in (0, typed.exponent)
