from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from mini import text
from mini.generated import Balance
from mini.phoneme_types import HAN


@pytest.mark.parametrize("language", text.LANGUAGES)
def test_generated_numbers_are_words(language: str) -> None:
    balance = Balance(random.Random(0), Counter())
    found = [balance.numbers(language) for _ in range(200)]
    assert not re.search(r"[\d%$/:]", "".join(found))
    assert len(set(found)) > 150
    assert all(line[-1] in ".?!。？！" for line in found)


def test_a_row_takes_words_that_were_said_least() -> None:
    often = set(text.words()[:3000])
    row = Balance(random.Random(0), Counter(dict.fromkeys(often, 1000))).row("en")
    found = re.findall("[a-z]+", row.lower())
    assert sum(word not in often for word in found) >= len(found) - 1


@pytest.mark.parametrize("language", text.LANGUAGES)
def test_what_is_held_out_is_never_learned(language: str) -> None:
    """Not as a sentence, nor as a template: no run of words or characters in common."""

    def grams(line: str) -> set[tuple[str, ...]]:
        size = 8 if language == "zh" else 6
        pattern = f"[{HAN}]" if language == "zh" else r"[\w']+"
        units = re.findall(pattern, line.lower())
        return {tuple(units[i : i + size]) for i in range(len(units) - size + 1)}

    learned: set[tuple[str, ...]] = set()
    for line in text.written(language):
        learned |= grams(line)
    judged = [x for topic in text.TOPICS for x in text.heldout(language, topic)]
    assert len(judged) >= 250
    assert not set(judged) & set(text.written(language))
    assert not [line for line in judged if grams(line) & learned]
