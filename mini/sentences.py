"""Which sentences a shard of speech says, and in which voices and tempi.

Written sentences come in turn, so that each is heard as often as any other; between them stand
generated rows of words and numbers (:mod:`mini.generated`).
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mini import text
from mini.generated import Balance
from mini.phoneme_types import HAN
from mini.teacher_speed import PLAIN_SPEED, SPEED_LEVELS
from mini.voices import VOICES, draw_coordinates

# shares of what is said
WRITTEN, ROWS = 0.72, 0.2
NAMED_VOICES = 0.4
PLAIN_TEMPO = 0.5
# sentences in a row by one voice, so that one can be the sample of another
GROUP = 3
LONGEST = {"zh": 42, "en": 130}


@dataclass(frozen=True)
class Line:
    """One sentence to say: ``voice`` [bases] and ``speed``, a level of ``[speed_n]``."""

    text: str
    language: str
    voice: NDArray[np.float32]
    speed: int


def count_said(texts: list[str], language: str) -> Counter[str]:
    """Count Mandarin characters, or English words in lower case."""
    pattern = f"[{HAN}]" if language == "zh" else "[a-z]+"
    return Counter(found for line in texts for found in re.findall(pattern, line.lower()))


class Reader:
    """Draws the lines of shards from the text that there is now."""

    def __init__(self) -> None:
        self.written = {
            language: [
                line
                for line in map(text.as_spoken, text.written(language))
                if not re.search(r"\d", line) and len(line) <= LONGEST[language]
            ]
            for language in text.LANGUAGES
        }

    def shard(self, index: int, count: int, seed: int) -> list[Line]:
        """Draw ``count`` lines of the training split."""
        rng = random.Random(f"{seed}-{index}")
        voices = np.random.default_rng([seed, index])
        balances = {
            language: Balance(rng, count_said(lines, language))
            for language, lines in self.written.items()
        }
        lines: list[Line] = []
        while len(lines) < count:
            if len(lines) % GROUP == 0:
                voice = draw_coordinates(voices, NAMED_VOICES)
            language = rng.choice(text.LANGUAGES)
            plain = rng.random() < PLAIN_TEMPO
            speed = PLAIN_SPEED if plain else rng.randrange(SPEED_LEVELS)
            lines.append(Line(self._sentence(language, rng, balances), language, voice, speed))
        return lines

    def _sentence(self, language: str, rng: random.Random, balances: dict[str, Balance]) -> str:
        kind = rng.random()
        if kind < WRITTEN and self.written[language]:
            return rng.choice(self.written[language])
        if kind < WRITTEN + ROWS:
            return balances[language].row(language)
        return balances[language].numbers(language)


def heldout_lines(index: int, count: int) -> list[Line]:
    """Lines to measure held-out losses on: both languages, named voices and plain tempo."""
    voices = [np.asarray(place, dtype=np.float32) for place in VOICES.values()]
    lines: list[Line] = []
    for topic in ("domain", "everyday"):
        for language in text.LANGUAGES:
            part = count // 4
            fitting = [
                line
                for line in map(text.as_spoken, text.heldout(language, topic))
                if len(line) <= LONGEST[language]
            ]
            chosen = fitting[index * part : (index + 1) * part]
            lines += [
                Line(line, language, voices[number % len(voices)], PLAIN_SPEED)
                for number, line in enumerate(chosen)
            ]
    return lines
