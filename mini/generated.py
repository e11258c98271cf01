"""Sentences that nobody wrote: words in a row that balance what is said, and numbers.

They share nothing with what is held out but single words.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

from chattts_onnx.text import TextOptions, normalize
from chattts_onnx.text.cleanup import clean_text
from mini.text import characters, words

# words that a balanced row is chosen from at each place
CHOICES = 12
# numbers as people write them; each ``#`` is a number, ``@`` a digit, ``%h`` and ``%m`` a time
ZH_NUMBERS = (
    "#", "第#", "#个", "#位", "#次", "#张", "#件", "#本", "#台", "#辆", "#杯", "#岁", "#页", "#层",
    "#号", "#元", "#块", "#.@元", "#美元", "#公里", "#度", "零下#度", "#分钟", "@@@@年", "%h月%h日",
    "%h月@号", "上午%h:%m", "下午%h:%m", "晚上%h点", "%h点半", "@@%", "#.@", "1@@@@@@@@@@", "@@@@",
    "@/@", "-@@",
)  # fmt: skip
EN_NUMBERS = (
    "#", "number #", "page #", "room #", "gate #", "#th", "$#", "$#.@@", "# dollars", "# euros",
    "# miles", "# minutes", "# degrees", "@@%", "#.@", "%h:%m", "%h:%m a.m.", "%h:%m p.m.",
    "%h o'clock", "May %h", "March %hth", "19@@", "20@@", "555-@@@@", "@@@@", "the %hth of June",
)  # fmt: skip


def write_number(form: str, rng: random.Random) -> str:
    """Fill one of :data:`ZH_NUMBERS` or :data:`EN_NUMBERS`."""
    draws = {
        "#": lambda: str(int(10 ** rng.uniform(0, rng.choice((2, 3, 4.7))))),
        "@": lambda: str(rng.randint(0, 9)),
        "%h": lambda: str(rng.randint(1, 12)),
        "%m": lambda: f"{rng.randrange(60):02d}",
    }
    return re.sub("#|@|%h|%m", lambda match: draws[match.group()](), form)


@cache
def _zh_words() -> tuple[list[str], list[float]]:
    # only the teacher's machine has it
    import jieba

    known = set(characters())
    jieba.initialize()
    found = {
        word: count**0.5
        for word, count in jieba.dt.FREQ.items()
        if count > 20 and 1 < len(word) < 5 and set(word) <= known
    }
    return list(found), list(found.values())


@cache
def _en_words() -> tuple[list[str], list[float]]:
    chosen = [word for word in words() if len(word) > 1 or word in ("a", "i")]
    return chosen, [(10 + rank) ** -0.5 for rank in range(len(chosen))]


class Balance:
    """Draws rows of words, rarer characters and words first.

    Args:
        rng: of all draws.
        said: how often each character and English word has been said.
    """

    def __init__(self, rng: random.Random, said: Counter[str]) -> None:
        self.rng, self.said = rng, said

    def _draw(self, known: tuple[Sequence[str], Sequence[float]], zh: bool) -> str:
        choices = self.rng.choices(*known, k=CHOICES)

        def need(word: str) -> float:
            parts = word if zh else [word]
            return sum(1 / (1 + self.said[part]) for part in parts) / len(parts)

        best = max(choices, key=need)
        self.said.update(best if zh else [best])
        return best

    def row(self, language: str) -> str:
        """Return a row of words with marks between some of them."""
        zh = language == "zh"
        known = _zh_words() if zh else _en_words()
        parts: list[str] = []
        for index in range(self.rng.randint(3, 7 if zh else 9)):
            if index:
                pause = self.rng.random() < (0.5 if zh else 0.25)
                parts.append(("，" if zh else ", ") if pause else ("" if zh else " "))
            parts.append(self._draw(known, zh))
        return finish("".join(parts), language, self.rng)

    def numbers(self, language: str) -> str:
        """Return one to three numbers, in words as a bundle reads them."""
        forms, comma = (ZH_NUMBERS, "，") if language == "zh" else (EN_NUMBERS, ", ")
        found = [write_number(self.rng.choice(forms), self.rng) for _ in range(3)]
        options = TextOptions(language="zh" if language == "zh" else "en")
        spoken = [clean_text(normalize(text, options).text) for text in found]
        text = comma.join(spoken[: self.rng.randint(1, 3)])
        return finish(text, language, self.rng)


def finish(text: str, language: str, rng: random.Random) -> str:
    """Return text with a capital and a closing mark."""
    if language == "zh":
        return text + rng.choices("。？！", (8, 1, 1))[0]
    text = re.sub(r"\bi\b", "I", text)
    return text[0].upper() + text[1:] + rng.choices(".?!", (8, 1, 1))[0]
