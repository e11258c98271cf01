"""The language in which a text's numbers are read, by its letters."""

from __future__ import annotations

import re
from typing import Literal

from .tags import split_tags

Spoken = Literal["zh", "en"]

_CHINESE_MARKS = frozenset("，。！？、；：")
# One character each, which only East Asian keyboards type.
_CHINESE_UNITS = frozenset("℃㎡㎥㎞")
# Stretches between Chinese characters and marks, in which an English phrase may stand.
_LATIN_RUN = re.compile("[^\u4e00-\u9fff\u3400-\u4dbf，。！？、；：\n]+")
# 10w+ is no English.
_SHORTHAND = re.compile(
    r"\s*(?:[0-9]+(?:\.[0-9]+)?[wk]?\s?[-~]\s?)?[0-9]+(?:\.[0-9]+)?[wk]\+?[\s.,!?]*"
)
_WORD = re.compile(r"(?<![A-Za-z0-9@/_.'&-])[A-Za-z']+(?![A-Za-z0-9@/_&-]|\.[A-Za-z0-9])")
# Words that only an English phrase has; names, units and commands have none of them.
_WORDS_OF_FUNCTION_WORDS = (
    "a an the i i'm i've i'll you you're he she it it's we they my your his her our their "
    "this that these those is are was were be been am do does did have has had will would "
    "can could should of at in on to for from with by about than and or but not no if so "
    "as there here only just more less over under around nearly every each all both up "
    "down costs cost took won lost"
)
_FUNCTION_WORDS = frozenset(_WORDS_OF_FUNCTION_WORDS.split())


def is_function_word(word: str) -> bool:
    """Whether a word is of those that only an English phrase has."""
    return word.lower() in _FUNCTION_WORDS


def is_cjk(character: str) -> bool:
    """Whether a character is written in Chinese."""
    return "\u4e00" <= character <= "\u9fff" or "\u3400" <= character <= "\u4dbf"


def is_latin(character: str) -> bool:
    """Whether a character is a letter of a Latin word, accents included."""
    return (character.isascii() and character.isalpha()) or "\u00c0" <= character <= "\u024f"


def own_language(text: str, *, typed: str = "", strict: bool = False) -> Spoken | None:
    """The language that a text's own letters tell, None where it has none.

    ``typed`` is the text before its characters were folded (℃ is Chinese, °C is not).  ``strict``
    asks for a word: letters beside digits (5 kg) are a unit of any language.
    """
    if "[" in text:
        text = "".join(part for part, is_tag in split_tags(text) if not is_tag)
    if any(is_cjk(c) or c in _CHINESE_MARKS for c in text):
        return "zh"
    if not _CHINESE_UNITS.isdisjoint(typed):
        return "zh"
    if not any(map(str.isalpha, text)) or _SHORTHAND.fullmatch(text):
        return None
    return "en" if not strict or _has_word(text) else None


def _has_word(text: str) -> bool:
    words = re.findall(r"(?<![A-Za-z0-9])(?<![0-9] )[A-Za-z']{2,}", text)
    return any(word.lower() != word.upper() for word in words)


def is_english_phrase(run: str) -> bool:
    """Whether a stretch inside a Chinese text is English prose, not a name, unit or command."""
    words = [word.lower() for word in _WORD.findall(run)]
    return any(word in _FUNCTION_WORDS for word in words if word != "a" or len(words) > 2) or (
        sum(len(word) > 2 for word in words if word.islower()) >= 4
    )


def english_phrases(text: str) -> list[bool]:
    """For each position of a Chinese text (and its end) whether it is in an English phrase."""
    found = [False] * (len(text) + 1)
    for run in _LATIN_RUN.finditer(text):
        if is_english_phrase(run.group()):
            found[run.start() : run.end() + 1] = [True] * (run.end() - run.start() + 1)
    return found
