"""Sentences of the domain, drawn by seed; held-out ones are never among those trained on.

Numbers are written in words, so that letters say how a sentence sounds.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Collection

from mini import grammar

_SLOT = re.compile(r"\{(\w+)\}")
HELDOUT_ONE_IN = 20


def spell(number: int) -> str:
    """Spell 0..999 as the teacher reads it aloud: ``742`` is ``seven hundred forty two``.

    Raises:
        ValueError: the number lies outside.
    """
    if not 0 <= number <= 999:
        raise ValueError(f"found {number}, expected a number from 0 to 999")
    if number >= 100:
        rest = f" {spell(number % 100)}" if number % 100 else ""
        return f"{grammar.UNITS[number // 100]} hundred{rest}"
    if number < 20:
        return grammar.UNITS[number]
    unit = f" {grammar.UNITS[number % 10]}" if number % 10 else ""
    return grammar.TENS[number // 10 - 2] + unit


def _time(rng: random.Random) -> str:
    hour = grammar.UNITS[rng.randint(1, 12)]
    kind = rng.randrange(5)
    if kind == 0:
        return f"{hour} o'clock"
    if kind == 1:
        return rng.choice(("half past ", "quarter past ", "quarter to ")) + hour
    return f"{hour} {spell(rng.randint(10, 59))}"


_NUMBERS: dict[str, Callable[[random.Random], str]] = {
    "big": lambda rng: spell(rng.randint(100, 999) if rng.random() < 0.6 else rng.randint(13, 99)),
    "small": lambda rng: spell(rng.randint(1, 40)),
    "digit": lambda rng: spell(rng.randint(0, 9)),
    "time": _time,
    "job": lambda rng: rng.choice(grammar.JOBS),
}


def draw_sentence(rng: random.Random) -> str:
    """Draw one sentence, with a capital letter and punctuation."""
    weights = [weight for weight, _ in grammar.TEMPLATES]
    template = rng.choices(grammar.TEMPLATES, weights)[0][1]

    def fill(match: re.Match[str]) -> str:
        slot = match.group(1)
        return _NUMBERS[slot](rng) if slot in _NUMBERS else rng.choice(grammar.SLOTS[slot])

    text = _SLOT.sub(fill, template)
    return text[0].upper() + text[1:]


def is_heldout(text: str) -> bool:
    """Whether a sentence belongs to the held-out split: a function of its words alone."""
    digest = hashlib.sha256(text.lower().encode()).digest()
    return digest[0] * 256 + digest[1] < 65536 // HELDOUT_ONE_IN


def draw_split(count: int, seed: int, heldout: bool, without: Collection[str] = ()) -> list[str]:
    """Draw ``count`` different sentences of one split, none of them in ``without``; a longer list
    starts with the shorter."""
    rng = random.Random(f"{seed}-{'heldout' if heldout else 'train'}")
    found: dict[str, None] = {}
    while len(found) < count:
        text = draw_sentence(rng)
        if is_heldout(text) == heldout and text not in without:
            found[text] = None
    return list(found)
