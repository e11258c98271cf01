"""When each letter is spoken, from the teacher's phoneme durations.

Words come from the durations; letters share their word's time evenly.  The GPT is taught with
these times where to look (see :mod:`mini.gpt_model`), which no inference needs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TOKEN = re.compile(r"[a-z]|[^\sa-z]")
_WORD = re.compile(r"[a-z']+")
# espeak joins short words into one group ("of the"), seldom more than this
MAX_WORDS_IN_GROUP = 4
_MARKS = set(",.?!;: ^$_")


def text_tokens(text: str) -> list[str]:
    """Letters and punctuation marks in the order in which the mini tokenizer gives them."""
    return TOKEN.findall(text.lower())


def match_groups(groups: Sequence[int], words: Sequence[int]) -> list[int]:
    """Give each group of phonemes one or more words, so that lengths agree best.

    Args:
        groups: phonemes in each group.
        words: letters in each word.

    Returns:
        words in each group.

    Raises:
        ValueError: there are fewer words than groups, or too many.
    """
    ratio = sum(groups) / max(sum(words), 1)
    best: dict[tuple[int, int], tuple[float, list[int]]] = {(0, 0): (0.0, [])}
    for g, size in enumerate(groups):
        for w in range(len(words) + 1):
            if (g, w) not in best:
                continue
            cost, taken = best[g, w]
            for count in range(1, MAX_WORDS_IN_GROUP + 1):
                if w + count > len(words):
                    break
                total = cost + (size - ratio * sum(words[w : w + count])) ** 2
                key = (g + 1, w + count)
                if key not in best or total < best[key][0]:
                    best[key] = (total, [*taken, count])
    if (len(groups), len(words)) not in best:
        raise ValueError(f"found {len(groups)} groups of phonemes for {len(words)} words")
    return best[len(groups), len(words)][1]


def letter_ends(text: str, phonemes: Sequence[tuple[str, float]]) -> NDArray[np.float32]:
    """Return when each token of :func:`text_tokens` ends, in seconds [tokens].

    Args:
        text: the sentence.
        phonemes: phoneme and seconds, in order, with pauses and marks.
    """
    spans: list[tuple[float, float, int]] = []
    clock, start, size = 0.0, 0.0, 0
    for phoneme, seconds in phonemes:
        if phoneme in _MARKS:
            if size:
                spans.append((start, clock, size))
            clock, size = clock + seconds, 0
            start = clock
        else:
            clock, size = clock + seconds, size + 1
    if size:
        spans.append((start, clock, size))
    words = _WORD.findall(text.lower())
    counts = match_groups([span[2] for span in spans], [len(word) for word in words])
    ends: list[float] = []
    position = 0
    for (begin, end, _), count in zip(spans, counts, strict=True):
        letters = sum(len(word) for word in words[position : position + count])
        position += count
        ends.extend(begin + (end - begin) * (i + 1) / letters for i in range(letters))
    found = iter(ends)
    result, last = [], 0.0
    for token in text_tokens(text):
        last = next(found) if _WORD.fullmatch(token) else last
        result.append(last)
    return np.asarray(result, dtype=np.float32)
