"""Sentences that nobody wrote: words in a row that balance what is said, and numbers.

They share nothing with what is held out but single words.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

from mini.text import characters, words

ZH_DIGITS = "零一二三四五六七八九"
EN_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
EN_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# words that a balanced row is chosen from at each place
CHOICES = 12


def spell_zh(number: int) -> str:
    """Spell 0 to 99,999,999 in Mandarin."""
    if number >= 10_000:
        rest = number % 10_000
        zero = "零" if 0 < rest < 1000 else ""
        return spell_zh(number // 10_000) + "万" + zero + (spell_zh(rest) if rest else "")
    for unit, name in ((1000, "千"), (100, "百")):
        if number >= unit:
            rest = number % unit
            zero = "零" if 0 < rest < unit // 10 else ""
            after = ("一" if 10 <= rest < 20 else "") + spell_zh(rest) if rest else ""
            return ZH_DIGITS[number // unit] + name + zero + after
    if number < 10:
        return ZH_DIGITS[number]
    tens = ZH_DIGITS[number // 10] if number >= 20 else ""
    return tens + "十" + (ZH_DIGITS[number % 10] if number % 10 else "")


def count_zh(number: int) -> str:
    """Spell a number as it stands before a measure word, where two is 两."""
    return "两" if number == 2 else spell_zh(number)


def spell_en(number: int) -> str:
    """Spell 0 to 999,999 in English."""
    if number >= 1000:
        rest = f" {spell_en(number % 1000)}" if number % 1000 else ""
        return f"{spell_en(number // 1000)} thousand{rest}"
    if number >= 100:
        rest = f" and {spell_en(number % 100)}" if number % 100 else ""
        return f"{EN_UNITS[number // 100]} hundred{rest}"
    if number < 20:
        return EN_UNITS[number]
    return EN_TENS[number // 10 - 2] + (f" {EN_UNITS[number % 10]}" if number % 10 else "")


def _number(rng: random.Random) -> int:
    return int(10 ** rng.uniform(0, 5.3)) - 1


def numbers_zh(rng: random.Random) -> str:
    """Numbers, digits, times, dates or prices in Mandarin."""
    kind = rng.randrange(6)
    if kind == 0:
        return "".join(rng.choice(ZH_DIGITS) for _ in range(rng.randint(3, 11)))
    if kind == 1:
        minute = rng.choice(["", "半", "一刻", f"{spell_zh(rng.randint(10, 59))}分"])
        part = rng.choice(["早上", "上午", "下午", "晚上"])
        return f"{part}{count_zh(rng.randint(1, 12))}点{minute}"
    if kind == 2:
        return f"{spell_zh(rng.randint(1, 12))}月{spell_zh(rng.randint(1, 31))}{rng.choice('日号')}"
    if kind == 3:
        return count_zh(_number(rng)) + rng.choice(["元", "块", "块五", "美元", "角"])
    if kind == 4:
        unit = rng.choice("个位次张件本条只台辆杯瓶斤米里岁页层楼号度级双套份")
        return count_zh(rng.randint(1, 300)) + unit
    return rng.choice(["百分之", "第", "负", ""]) + spell_zh(_number(rng) % 1000)


def numbers_en(rng: random.Random) -> str:
    """Numbers, digits, times, dates or prices in English."""
    kind = rng.randrange(5)
    if kind == 0:
        return " ".join(rng.choice(EN_UNITS[:10]) for _ in range(rng.randint(3, 8)))
    if kind == 1:
        return f"{rng.choice(EN_UNITS[1:13])} {spell_en(rng.randint(10, 59))} {rng.choice('ap')} m"
    if kind == 2:
        return f"{spell_en(_number(rng))} {rng.choice(['dollars', 'cents', 'euros', 'percent'])}"
    if kind == 3:
        return f"{rng.choice(['number', 'page', 'room', 'gate'])} {spell_en(rng.randint(1, 999))}"
    return spell_en(_number(rng))


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
        """Return one to three numbers."""
        draw, comma = (numbers_zh, "，") if language == "zh" else (numbers_en, ", ")
        text = comma.join(draw(self.rng) for _ in range(self.rng.randint(1, 3)))
        return finish(text, language, self.rng)


def finish(text: str, language: str, rng: random.Random) -> str:
    """Return text with a capital and a closing mark."""
    if language == "zh":
        return text + rng.choices("。？！", (8, 1, 1))[0]
    text = re.sub(r"\bi\b", "I", text)
    return text[0].upper() + text[1:] + rng.choices(".?!", (8, 1, 1))[0]
