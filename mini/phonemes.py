"""Text to the teacher's phonemes, piece by piece, for Mandarin and English.

A piece is a Mandarin character, an English word or a mark, so that the teacher's durations tell
when each of them is spoken.  Mandarin goes by pypinyin's words and misaki's IPA, with the tone
changes that speakers make; English by misaki's dictionaries, then by espeak-ng.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
from functools import cache
from importlib import resources
from itertools import pairwise

import jieba
from misaki.zh import ZHG2P
from pypinyin import Style, lazy_pinyin

from mini.phoneme_types import HAN, Piece

jieba.setLogLevel(logging.ERROR)


_PIECE = re.compile(rf"([{HAN}]+)|([A-Za-z]+(?:['’][A-Za-z]+)*)|(\s+)|(.)")
# what the teacher knows of marks; others are silent
MARKS = {
    "，": ",", "、": ",", "。": ".", "！": "!", "？": "?", "：": ":", "；": ";", "…": "…",
    "—": "—", "“": "“", "”": "”", "（": "(", "）": ")", "《": "“", "》": "”",
    ",": ",", ".": ".", "!": "!", "?": "?", ":": ":", ";": ";", "(": "(", ")": ")", '"': '"',
}  # fmt: skip
# a syllabic consonant's sign, which the teacher lacks
_SYLLABIC = chr(815)
# espeak's IPA in the letters of misaki
_ESPEAK = (
    ("_", ""), ("aɪ", "I"), ("aʊ", "W"), ("dʒ", "ʤ"), ("eɪ", "A"), ("tʃ", "ʧ"), ("ɔɪ", "Y"),
    ("oʊ", "O"), ("ɚ", "əɹ"), ("r", "ɹ"), ("ɐ", "ə"), ("ɜː", "ɜɹ"), ("ː", ""),
)  # fmt: skip
_WEAK = {"the": "ðə", "a": "ɐ", "an": "ən", "to": "tə", "of": "ʌv", "and": "ænd", "i": "ˈI"}
_VOWELS = "AIOQWYaeiouæɑɒɔəɛɜɪʊʌᵻɐ"


def change_tones(words: list[list[str]]) -> list[str]:
    """Apply the third-tone rule to a phrase's syllables (``hao3``), given word by word.

    A third tone before another becomes a second one: first inside words, then between a word and
    the next.
    """
    for word in words:
        for index in range(len(word) - 1):
            if word[index][-1] == "3" and word[index + 1][-1] == "3":
                word[index] = word[index][:-1] + "2"
    for word, following in pairwise(words):
        if word[-1][-1] == "3" and following[0][-1] == "3":
            word[-1] = word[-1][:-1] + "2"
    return [syllable for word in words for syllable in word]


@cache
def _word_syllables(word: str) -> tuple[str, ...]:
    found = lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True)
    if len(found) != len(word):
        raise ValueError(f"{word!r}: found {found}, expected a syllable for each character")
    return tuple(found)


def syllables(phrase: str) -> tuple[list[str], list[int]]:
    """Return a Mandarin phrase's syllables as spoken, and where words begin."""
    words = jieba.lcut(phrase, cut_all=False)
    spoken = [list(_word_syllables(word)) for word in words]
    begins, at = [], 0
    for index, word in enumerate(words):
        begins.append(at)
        at += len(word)
        following = spoken[index + 1][0] if index + 1 < len(words) else "1"
        # pypinyin knows the words with 一 and 不 in them, not these two alone
        if word == "不" and following[-1] == "4":
            spoken[index] = ["bu2"]
    return change_tones(spoken), begins


@cache
def syllable_phonemes(syllable: str) -> str:
    """Return the IPA of one syllable such as ``hao3``.

    Raises:
        ValueError: it is none.
    """
    try:
        return str(ZHG2P.py2ipa(syllable)).replace(_SYLLABIC, "")
    except Exception as error:
        raise ValueError(f"{syllable!r} is no Mandarin syllable") from error


@cache
def _dictionaries() -> tuple[dict[str, object], ...]:
    data = resources.files("misaki.data")
    return tuple(
        json.loads(data.joinpath(f"us_{name}.json").read_text("utf-8"))
        for name in ("gold", "silver")
    )


def _looked_up(word: str) -> str | None:
    for entries in _dictionaries():
        for key in (word, word.lower(), word.capitalize()):
            entry = entries.get(key)
            if isinstance(entry, dict):
                entry = entry.get("DEFAULT") or next(iter(entry.values()))
            if entry:
                return str(entry)
    return None


@cache
def word_phonemes(word: str) -> str:
    """Return the IPA of one English word, as it is said inside a sentence."""
    word = word.replace("’", "'")
    if word.lower() in _WEAK and not (word.isupper() and len(word) > 1):
        return _WEAK[word.lower()]
    if word.isupper() and 1 < len(word) <= 4 and _looked_up(word) is None:
        return "".join(_looked_up(letter) or "" for letter in word)
    found = _looked_up(word)
    if found is not None:
        return found
    stem, _, ending = word.rpartition("'")
    if ending.lower() == "s" and (base := _looked_up(stem)):
        return base + ("ᵻz" if base[-1] in "szʃʒʧʤ" else "s" if base[-1] in "ptkfθ" else "z")
    said = subprocess.run(
        ["espeak-ng", "-q", "--ipa=1", "-v", "en-us", "--", word],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    for theirs, ours in _ESPEAK:
        said = said.replace(theirs, ours)
    return said


def _han(phrase: str) -> list[Piece]:
    spoken, begins = syllables(phrase)
    return [
        ((" " if index and index in begins else "") + character, syllable_phonemes(syllable))
        for index, (character, syllable) in enumerate(zip(phrase, spoken, strict=True))
    ]


def pieces(text: str) -> list[Piece]:
    """Return (piece, phonemes) in order; a piece's phonemes begin with a space between words.

    Raises:
        ValueError: the text has a digit, which nobody knows how to say.
    """
    if re.search(r"\d", text):
        raise ValueError(f"{text!r}: found a digit, expected numbers in words")
    found: list[Piece] = []
    apart = False
    for han, word, space, mark in _PIECE.findall(text):
        if space:
            apart = True
            continue
        if mark:
            known = MARKS.get(mark, "")
            # a mark closes what is before it; an opening one begins what follows
            found.append((mark, (" " if known in "(“" and known and found else "") + known))
            apart = bool(known) and known not in "(“"
            continue
        part = _han(han) if han else [(word, word_phonemes(word))]
        for index, (piece, phonemes) in enumerate(part):
            gap = piece.startswith(" ") or (index == 0 and bool(found) and (apart or bool(word)))
            found.append((piece.strip(), (" " if gap else "") + phonemes))
        apart = bool(word)
    return _with_vowels(found)


def _with_vowels(found: list[Piece]) -> list[Piece]:
    """Say ``the`` and ``to`` as before a vowel where one follows, and the letter in ``a m``."""
    result = []
    for index, (piece, phonemes) in enumerate(found):
        following = found[index + 1][1].lstrip(" ˈˌ") if index + 1 < len(found) else ""
        if following and following[0] in _VOWELS and piece.lower() in ("the", "to"):
            phonemes = phonemes.replace("ðə", "ði").replace("tə", "tu")
        if piece.lower() == "a" and index + 1 < len(found) and found[index + 1][0].lower() == "m":
            phonemes = phonemes.replace("ɐ", "ˈA")
        result.append((piece, phonemes))
    return result
