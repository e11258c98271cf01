"""Erhua: a 儿 that colours the syllable before it and is none of its own.

ChatTTS reads characters, and a 儿 that stands in its text is spoken as a syllable.  Merging leaves
it out (花儿 -> 花) in words of a lexicon; every other 儿 stays (儿子, 婴儿).
"""

from __future__ import annotations

import re
from functools import cache

from .core.lexicon import Lexicon
from .core.report import Report
from .core.tables import rows


@cache
def _built_in() -> tuple[dict[str, str], frozenset[str], str]:
    """Words to merge with their speech, words to keep, and characters that 儿 may begin a word of.

    ``erhua.tsv`` holds lines ``merge word [speech]``, ``keep word`` and ``onset character``.
    """
    merge: dict[str, str] = {}
    keep: set[str] = set()
    onsets = ""
    for section, word, *speech in rows("erhua"):
        if section == "merge":
            merge[word] = speech[0] if speech else word.replace("儿", "")
        elif section == "keep":
            keep.add(word)
        else:
            onsets += word
    return merge, frozenset(keep), onsets


@cache
def _pattern(
    extra_merge: frozenset[str], extra_keep: frozenset[str]
) -> tuple[re.Pattern[str], dict[str, str]]:
    merge, keep, onsets = _built_in()
    merge = {w: s for w, s in merge.items() if w not in extra_keep}
    merge |= {word: word.replace("儿", "") for word in extra_merge}
    kept = (keep | extra_keep) - extra_merge
    # Longest first, words to keep among them: 女儿 guards its 儿 by being matched itself.  The
    # look-ahead leaves 花儿子的钱 alone, where 儿 begins the next word.
    words = sorted(merge.keys() | kept, key=lambda word: (-len(word), word))
    parts = [
        re.escape(w) if w in kept or not w.endswith("儿") else f"{re.escape(w)}(?![{onsets}])"
        for w in words
    ]
    return re.compile("|".join(parts)), merge


def merge_erhua(text: str, report: Report, lexicon: Lexicon | None = None) -> str:
    """``text`` with the 儿 of known erhua words left out; others untouched."""
    if "儿" not in text:
        return text
    own = lexicon or Lexicon()
    pattern, merge = _pattern(own.erhua_merge, own.erhua_keep)

    def speak(match: re.Match[str]) -> str:
        found = match.group()
        return report.add("erhua", found, merge.get(found, found))

    return pattern.sub(speak, text)
