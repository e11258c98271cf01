"""Never another value: what is typed can be read back from what is spoken.

``python -m tools.drills.spoken_values [--count 100000] [KIND ...]`` makes so many texts a kind, by
a seed, and reads each one's speech back with the inverse of the number rules.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from chattts_onnx.text import TextOptions, english, normalize
from chattts_onnx.text.language import Spoken
from chattts_onnx.text.readback import digits, numbers, spoken_exponent

Draw = random.Random
# Whether a text's speech says what was typed.
Check = Callable[[str], bool]


@dataclass(frozen=True)
class Case:
    """A typed text, the language around it and how to tell that its speech is right."""

    typed: str
    language: Spoken
    right: Check


def _number(draw: Draw, longest: int = 9) -> str:
    whole = str(draw.randrange(10 ** draw.randint(1, longest)))
    if draw.random() < 0.3 and len(whole) > 3:
        whole = f"{int(whole):,}"
    return f"{whole}.{draw.randrange(10 ** draw.randint(1, 4))}" if draw.random() < 0.4 else whole


def _value(written: str) -> Decimal:
    return Decimal(written.replace(",", ""))


def _language(draw: Draw) -> Spoken:
    return "zh" if draw.random() < 0.5 else "en"


def number(draw: Draw) -> Case:
    """共有1,234.5个, There are 1,234.5 items."""
    language, written = _language(draw), _number(draw)
    typed = f"共有{written}个" if language == "zh" else f"There are {written} items"
    return Case(typed, language, lambda s: numbers(s, language) == [_value(written)])


def sign(draw: Draw) -> Case:
    """温度是-3, The change is +8, 误差±2."""
    language, written = _language(draw), _number(draw, 5)
    mark = draw.choice("-+±−")
    zh, en = {
        "-": ("负", "minus"),
        "+": ("正", "plus"),
        "±": ("正负", "plus or minus"),
        "−": ("负", "minus"),
    }[mark]
    typed = f"结果是{mark}{written}" if language == "zh" else f"The change is {mark}{written} now"
    word = f"是{zh}" if language == "zh" else f"is {en} "
    return Case(typed, language, lambda s: word in s and numbers(s, language) == [_value(written)])


_PREFIXES = {
    "": 0,
    "k": 3,
    "M": 6,
    "G": 9,
    "m": -3,
    "μ": -6,
    "n": -9,
    "u": -6,
    "c": -2,
    "p": -12,
    "T": 12,
}
_UNITS = {
    "m": "kcmμn",
    "W": "mkMGμn",
    "Hz": "kMGT",
    "V": "mkMμ",
    "A": "mkμn",
    "Pa": "kMGm",
    "J": "mkMG",
    "g": "mμn",
    "mol": "mμnk",
    "L": "mμn",
    "F": "μnpm",
    "Ω": "kMGm",
    "s": "mμn",
    "eV": "kMG",
    "N": "kMm",
    "Sv": "mμ",
    "Bq": "kMG",
    "Wh": "kMG",
}


_BASES = "米瓦赫伏安帕焦摩升法欧秒电牛希贝克"


def unit(draw: Draw) -> Case:
    """5 mW and 5 MW; another case of them is the same value or spelled."""
    language, written = _language(draw), _number(draw, 4)
    base = draw.choice(list(_UNITS))
    prefix = draw.choice(["", *_UNITS[base]])
    if base == "F" and not prefix:
        prefix = "n"
    name = prefix + base
    folded = draw.random() < 0.3
    if folded:
        name = draw.choice([name.lower(), name.upper(), name.swapcase()])
        name = prefix + base if not name.isascii() or name in ("kn", "pA") else name
    # The prefix as it stands is the value: a capital M is mega, whatever was meant.
    head = name[: len(prefix)]
    wanted = {_PREFIXES.get(head), _PREFIXES.get(head.lower() if head in "KCNPU" else head.upper())}
    gap = draw.choice(["", " "])
    typed = (
        f"功率是{written}{gap}{name}。"
        if language == "zh"
        else f"It reads {written}{gap}{name} now."
    )

    def right(spoken: str) -> bool:
        # 五千瓦 is five and 千瓦: the unit's 千 is no part of the number.
        said = numbers(re.sub(f"千(?=[{_BASES}])", "|", spoken), language)
        rest = re.sub(r"^.*(?:是|reads )", "", spoken)
        if not said or said[0] != _value(written):
            return False
        exponent = spoken_exponent(_unit_of(rest, language), language)
        # 千克 is 公斤, 千米 公里: a kilo that is not said as one.
        if head in ("k", "K") and re.search("公斤|公里", rest):
            exponent = 3
        spelled = name in spoken or bool(
            re.search(r"(?:^|\s|[一二三四五六七八九零十百千万])[A-Za-z](?:\s[A-Za-z])+\b", rest)
        )
        return exponent == _PREFIXES.get(head) or (
            folded and (spelled or (head not in ("m", "M") and exponent in wanted))
        )

    return Case(typed, language, right)


def _unit_of(spoken: str, language: Spoken) -> str:
    """What is said after the number."""
    if language == "zh":
        match = re.match("[零一二三四五六七八九十百千万亿两点]*", spoken)
        end = match.end() if match else 0
        kilo = spoken[:end].endswith("千") and spoken[end : end + 1] in _BASES
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


def power(draw: Draw) -> Case:
    """1.6×10⁻¹⁹ in four ways of writing."""
    language, written = _language(draw), _number(draw, 2)
    exponent = draw.choice([n for n in range(-40, 41) if n])
    raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    form = draw.choice(
        [
            f"{written}×10{raised}",
            f"{written}×10^{exponent}",
            f"{written}e{exponent}",
            f"{written} x 10^{exponent}",
        ]
    )
    typed = f"数值是{form}。" if language == "zh" else f"The value is {form} here."

    def right(spoken: str) -> bool:
        said = numbers(spoken, language)
        minus = ("负" if language == "zh" else "minus") in spoken
        return said == [_value(written), 10, abs(exponent)] and minus == (exponent < 0)

    return Case(typed, language, right)


def _english_year(words: str) -> int:
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


_ORDINALS = {english.ordinal(str(n)): n for n in range(1, 32)}


def date(draw: Draw) -> Case:
    """2024-10-01, 2024年10月1日, October 1, 2024."""
    language = _language(draw)
    year, month, day = draw.randint(1900, 2099), draw.randint(1, 12), draw.randint(1, 28)
    if language == "zh":
        form = draw.choice(
            [
                f"{year}-{month:02d}-{day:02d}",
                f"{year}年{month}月{day}日",
                f"{year}/{month}/{day}",
                f"{year}.{month}.{day}",
            ]
        )

        def right(spoken: str) -> bool:
            match = re.search("([零一二三四五六七八九]{4})年(.+)月(.+)日", spoken)
            return match is not None and (
                digits(match[1], "zh"),
                *numbers(match[2], "zh"),
                *numbers(match[3], "zh"),
            ) == (str(year), month, day)

        return Case(f"日期是{form}，对吗", language, right)
    name = english.MONTHS[month - 1]
    form = draw.choice(
        [
            f"{year}-{month:02d}-{day:02d}",
            f"{name} {day}, {year}",
            f"{name[:3]} {day}, {year}",
            f"{month:02d}/{day:02d}/{year}",
        ]
    )

    def right_en(spoken: str) -> bool:
        match = re.search(rf"\b({'|'.join(english.MONTHS)}) ([a-z ]+), ([a-z ]+)\.", spoken)
        return match is not None and (
            match[1],
            _ORDINALS.get(match[2]),
            _english_year(match[3]),
        ) == (name, day, year)

    return Case(f"The date is {form}.", language, right_en)


def time(draw: Draw) -> Case:
    """8:05, 15:04:05, 3:30 pm."""
    language = _language(draw)
    hour, minute = draw.randint(0, 23), draw.randint(0, 59)
    second = draw.randint(0, 59) if draw.random() < 0.3 else None
    form = f"{hour}:{minute:02d}" + (f":{second:02d}" if second is not None else "")
    wanted = [
        hour,
        *([minute] if minute or second else []),
        *([second] if second is not None else []),
    ]
    if language == "zh":
        return Case(
            f"现在是{form}，开会",
            language,
            lambda s: numbers(s.replace("点", "，"), "zh") == wanted,
        )

    def right(spoken: str) -> bool:
        words = spoken.removeprefix("We left at ").split(" and ")
        whole = (
            words[0]
            .replace("midnight", "zero")
            .replace(" o'clock", "")
            .replace(" hundred", "")
            .split()
        )
        said = _clock(whole, bool(minute or second))
        return said == (hour, minute) and (second is None or numbers(words[-1], "en") == [second])

    return Case(f"We left at {form} and ate", language, lambda s: right(s.removesuffix(" and ate")))


def _clock(words: list[str], minutes: bool) -> tuple[int, int]:
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


def money(draw: Draw) -> Case:
    """￥1,234.50, $20 million, 20€."""
    language = _language(draw)
    whole = draw.randrange(1, 10 ** draw.randint(1, 7))
    cents = draw.choice([None, draw.randint(1, 99)])
    written = f"{whole:,}" if draw.random() < 0.5 else str(whole)
    written += f".{cents:02d}" if cents is not None else ""
    if language == "zh":
        mark, names = draw.choice([("￥", "元"), ("$", "美元"), ("€", "欧元"), ("£", "英镑")])

        def right(spoken: str) -> bool:
            body = spoken.removeprefix("价格是")
            head, _, tail = body.partition(names)
            parts = {
                mark: int(numbers(n, "zh")[0])
                for n, mark in re.findall("([一二两三四五六七八九十]+)(角|分|美分|欧分|便士)", tail)
            }
            said = parts.get("角", 0) * 10 + sum(v for k, v in parts.items() if k != "角")
            return numbers(head, "zh") == [whole] and said == (cents or 0)

        return Case(f"价格是{mark}{written}", language, right)
    mark, names = draw.choice([("$", "dollars?"), ("€", "euros?"), ("£", "pounds?")])

    def right_en(spoken: str) -> bool:
        match = re.fullmatch(
            rf"It costs (.+) {names}(?: and (.+) (?:cents?|penny|pence))? now", spoken
        )
        return (
            match is not None
            and numbers(match[1], "en") == [whole]
            and (numbers(match[2], "en") if match[2] else [0]) == [cents or 0]
        )

    return Case(f"It costs {mark}{written} now", language, right_en)


def percent(draw: Draw) -> Case:
    """12.5%, 3‰."""
    language, written = _language(draw), _number(draw, 4)
    typed = f"占比{written}%了" if language == "zh" else f"Up {written}% today"
    word = "百分之" if language == "zh" else "percent"
    return Case(
        typed,
        language,
        lambda s: word in s and numbers(s.replace("百分之", ""), language) == [_value(written)],
    )


KINDS: dict[str, Callable[[Draw], Case]] = {
    make.__name__: make for make in (number, sign, unit, power, date, time, money, percent)
}


def failures(kind: str, count: int, seed: int, backend: str = "auto") -> Iterator[tuple[Case, str]]:
    """The cases of a kind whose speech says something else, with what it says."""
    draw, options = Draw(f"{kind} {seed}"), TextOptions(backend=backend)  # type: ignore[arg-type]
    for _ in range(count):
        case = KINDS[kind](draw)
        spoken = normalize(case.typed, options).text
        if not case.right(spoken):
            yield case, spoken


def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit status 1 when something says another value."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.drills.spoken_values", description=__doc__
    )
    parser.add_argument(
        "kinds", nargs="*", choices=[[], *KINDS], metavar="KIND", help=", ".join(KINDS)
    )
    parser.add_argument("--count", type=int, default=100_000, help="texts a kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", choices=("auto", "rules"), default="auto")
    options = parser.parse_args(arguments)
    total = 0
    for kind in options.kinds or KINDS:
        found = list(failures(kind, options.count, options.seed, options.backend))
        total += len(found)
        print(f"{kind}: {options.count} texts, {len(found)} say another value", flush=True)
        for case, spoken in found[:10]:
            print(f"   {case.typed!r} -> {spoken!r}")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
