"""Errors in words, syllables and characters between a text and what was heard."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from .numerals import chinese_digits, english_digits

# Spellings and splits that sound alike.
_SAME = {
    "harbour": "harbor", "neighbour": "neighbor", "cancelled": "canceled", "oh": "zero",
    "riverside": "river side", "ok": "okay", "grey": "gray", "favourite": "favorite",
    "colour": "color", "centre": "center", "metre": "meter", "metres": "meters",
    "dr": "doctor", "mr": "mister", "mrs": "missis",
}  # fmt: skip
_MONEY = re.compile(r"\$(\d+)(?:\.(\d\d))?")
_TAG = re.compile(r"\[[a-z_0-9]+\]")
_HAN = "\u3400-\u9fff\uf900-\ufaff"
_CHINESE = re.compile(rf"[{_HAN}]")
_WORD = re.compile(rf"[{_HAN}]|[^\W\d_{_HAN}](?:[^\W\d_{_HAN}]|')*|\d+")


@dataclass(frozen=True)
class Errors:
    """Edit distances and the lengths they are shares of.

    Mandarin has syllables instead of words, in pinyin without tones: most wrong characters are
    homophones.  Tones cannot be judged so, since a listener writes the character that the sentence
    wants.
    """

    words: int
    word_errors: int
    syllables: int
    syllable_errors: int
    characters: int
    character_errors: int


def canonical_words(text: str) -> list[str]:
    """Words of ``text`` as a listener tells them apart.

    Lower case, without punctuation and control tags; every number as single digits, so that
    ``five eighteen``, ``5:18`` and ``518`` all become ``5 1 8`` and ``$7.11`` becomes
    ``7 dollars and 1 1 cents``; a Chinese character is a word of its own (the error rate over
    mixed text is then what is called MER).
    """
    text = _TAG.sub(" ", text.lower().replace("\u2019", "'"))
    text = _MONEY.sub(_spoken_money, text)
    text = re.sub(r"\b(\d\d?):00\b", r"\1 oclock", text).replace("o'clock", "oclock")
    text = re.sub(r"(?<=\d)%", " percent", text)
    text = re.sub(r"(?<=\d)[,:.\-](?=\d)", " ", text)
    text = re.sub(r"(\d+)(st|nd|rd|th|am|pm)\b", r"\1 \2", text)
    found = (word.strip("'") for word in _WORD.findall(chinese_digits(text)))
    return english_digits([piece for word in found for piece in _SAME.get(word, word).split()])


def syllables(words: Sequence[str]) -> list[str]:
    """Canonical words as toneless pinyin; digits and words of Latin letters stay.

    A phrase is read as a whole, so that most characters with several readings get the right one.
    """
    from pypinyin import Style, lazy_pinyin

    found: list[str] = []
    for han, group in groupby(words, key=lambda word: _CHINESE.fullmatch(word) is not None):
        part = list(group)
        found += lazy_pinyin("".join(part), style=Style.NORMAL) if han else part
    return found


def score(wanted: str, heard: str, language: str = "en") -> Errors:
    """Compare two texts by canonical words, or by syllables where ``language`` is ``zh``, and by
    the characters of these words."""
    reference, found = canonical_words(wanted), canonical_words(heard)
    letters, found_letters = "".join(reference), "".join(found)
    spoken = (syllables(reference), syllables(found)) if language == "zh" else ([], [])
    written = ([], []) if language == "zh" else (reference, found)
    return Errors(
        words=len(written[0]),
        word_errors=edit_distance(*written),
        syllables=len(spoken[0]),
        syllable_errors=edit_distance(*spoken),
        characters=len(letters),
        character_errors=edit_distance(letters, found_letters),
    )


def edit_distance(wanted: Sequence[str], found: Sequence[str]) -> int:
    """Fewest insertions, deletions and substitutions (Levenshtein 1966)."""
    row = list(range(len(found) + 1))
    for i, item in enumerate(wanted, start=1):
        previous, row[0] = row[0], i
        for j, other in enumerate(found, start=1):
            cost = previous + (item != other)
            previous = row[j]
            row[j] = min(row[j] + 1, row[j - 1] + 1, cost)
    return row[-1]


def _spoken_money(match: re.Match[str]) -> str:
    cents = f" and {int(match.group(2))} cents" if match.group(2) else ""
    return f"{match.group(1)} dollars{cents} "
