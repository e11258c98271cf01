"""Mandarin errors as syllables without tones: most wrong characters are homophones.

Tones cannot be judged so, since a listener writes the character that the sentence wants.
"""

from __future__ import annotations

import re

from pypinyin import Style, lazy_pinyin

from pipeline.speech.scoring import canonical_words

_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]+")


def syllables(text: str) -> list[str]:
    """Return ``text`` as toneless pinyin; digits stay, as do words of Latin letters.

    A phrase is read as a whole, so that most characters with several readings get the right one.
    """
    found: list[str] = []
    phrase = ""
    for word in [*canonical_words(text), ""]:
        if _HAN.fullmatch(word):
            phrase += word
            continue
        if phrase:
            found += lazy_pinyin(phrase, style=Style.NORMAL)
            phrase = ""
        found += [word] if word else []
    return found
