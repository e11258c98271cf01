"""Word error rate with numbers in one form."""

from __future__ import annotations

import re

from mini.grammar import TENS, UNITS

_VALUES = {word: index for index, word in enumerate(UNITS)}
_VALUES |= {word: 10 * (index + 2) for index, word in enumerate(TENS)}
# spellings and splits that sound alike
_SAME = {
    "harbour": "harbor", "neighbour": "neighbor", "cancelled": "canceled", "oh": "zero",
    "riverside": "river side", "ok": "okay", "grey": "gray", "favourite": "favorite",
}  # fmt: skip
_MONEY = re.compile(r"\$(\d+)(?:\.(\d\d))?")


def canonical_words(text: str) -> list[str]:
    """Return the words of ``text``, every number as single digits.

    ``five eighteen``, ``5:18`` and ``518`` all become ``5 1 8``, for a listener can't tell them
    apart; ``$7.11`` becomes ``7 dollars and 1 1 cents``.
    """
    text = _MONEY.sub(_spoken_money, text.lower().replace("\u2019", "'"))
    text = re.sub(r"\b(\d\d?):00\b", r"\1 oclock", text)
    text = re.sub(r"(?<=\d)[,:.\-](?=\d)", " ", text)
    text = re.sub(r"(\d+)(st|nd|rd|th|am|pm)\b", r"\1 \2", text)
    raw = re.findall(r"[a-z']+|\d+", text.replace("o'clock", "oclock"))
    raw = [piece for word in raw for piece in _SAME.get(word.strip("'"), word.strip("'")).split()]
    words: list[str] = []
    index = 0
    while index < len(raw):
        digits, used = _number(raw[index:])
        words += list(digits) if used else [raw[index]]
        index += used or 1
    return words


def _spoken_money(match: re.Match[str]) -> str:
    cents = f" and {int(match.group(2))} cents" if match.group(2) else ""
    return f"{match.group(1)} dollars{cents} "


def _number(words: list[str]) -> tuple[str, int]:
    """Read one number at the front of ``words``: its digits, and how many words it took."""
    if words[0].isdigit():
        return words[0], 1
    if words[0] not in _VALUES:
        return "", 0
    value, used = _below_hundred(words)
    if value < 10 and used < len(words) and words[used] == "hundred":
        value, used = 100 * value, used + 1
        skip = used + (used < len(words) and words[used] == "and")
        if skip < len(words) and words[skip] in _VALUES:
            rest, taken = _below_hundred(words[skip:])
            value, used = value + rest, skip + taken
    return str(value), used


def _below_hundred(words: list[str]) -> tuple[int, int]:
    value = _VALUES[words[0]]
    if value >= 20 and len(words) > 1 and 0 < _VALUES.get(words[1], 0) < 10:
        return value + _VALUES[words[1]], 2
    return value, 1


def word_errors(wanted: str, heard: str) -> tuple[int, int]:
    """Return the edit distance between two texts in canonical words, and the words wanted."""
    reference, found = canonical_words(wanted), canonical_words(heard)
    row = list(range(len(found) + 1))
    for i, word in enumerate(reference, start=1):
        previous, row[0] = row[0], i
        for j, other in enumerate(found, start=1):
            cost = previous + (word != other)
            previous = row[j]
            row[j] = min(row[j] + 1, row[j - 1] + 1, cost)
    return row[-1], len(reference)
