"""Words of units, years and clocks read back, for :mod:`.spoken_cases`."""

from __future__ import annotations

import re

from chattts_onnx.text.core import english
from chattts_onnx.text.core.language import Spoken
from chattts_onnx.text.core.readback import numbers

BASES = "米瓦赫伏安帕焦摩升法欧秒电牛希贝克"


def unit_of(spoken: str, language: Spoken) -> str:
    """What is said after the number."""
    if language == "zh":
        match = re.match("[零一二三四五六七八九十百千万亿两点]*", spoken)
        end = match.end() if match else 0
        kilo = spoken[:end].endswith("千") and spoken[end : end + 1] in BASES
        return spoken[end - kilo :]
    word = "|".join(
        [
            *english.digits("0123456789").split(),
            "oh",
            "ten",
            "eleven",
            "twelve",
            r"\w+teen",
            r"\w+ty",
            "hundred",
            "thousand",
            "million",
            "point",
        ]
    )
    return re.sub(rf"^(?:(?:{word})\b ?)+", "", spoken)


def english_year(words: str) -> int:
    """nineteen ninety nine, two thousand five, nineteen oh five, nineteen hundred."""
    parts = words.split()
    for cut in range(1, len(parts)):
        high, low = (
            numbers(" ".join(parts[:cut]), "en"),
            numbers(" ".join(parts[cut:]).removeprefix("oh "), "en"),
        )
        if len(high) == len(low) == 1 and 10 <= high[0] < 100 and low[0] < 100:
            return int(high[0] * 100 + low[0])
    return int(numbers(words, "en")[0])


ORDINALS = {english.ordinal(str(n)): n for n in range(1, 32)}


def clock(words: list[str], minutes: bool) -> tuple[int, int]:
    """Hour and minute of words: three oh five."""
    if not minutes:
        return int(numbers(" ".join(words), "en")[0]), 0
    for cut in range(1, len(words)):
        first, last = (
            numbers(" ".join(words[:cut]), "en"),
            numbers(" ".join(words[cut:]).removeprefix("oh "), "en"),
        )
        if len(first) == len(last) == 1 and first[0] < 24 and last[0] < 60:
            # twenty three is an hour of its own unless nothing is left for the minutes.
            rest = numbers(" ".join(words[: cut + 1]), "en") if cut + 1 < len(words) else []
            if (
                len(rest) == 1
                and rest[0] < 24
                and words[cut] != "oh"
                and first[0] % 10 == 0
                and first[0] >= 20
            ):
                continue
            return int(first[0]), int(last[0])
    return int(numbers(" ".join(words), "en")[0]), 0
