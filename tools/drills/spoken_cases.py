"""Kinds of values: texts that hold one, each with how to tell that its speech is right."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from chattts_onnx.text.core import english
from chattts_onnx.text.core.language import Spoken
from chattts_onnx.text.core.readback import digits, numbers, spoken_exponent
from tools.drills.spoken_words import BASES, ORDINALS, clock, english_year, unit_of

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
    # 1990s is a decade, whatever reads it; 1990 s is a time.
    decade = name == "s" and re.fullmatch("(?:1[5-9]|20)[0-9]0", written)
    gap = " " if decade else draw.choice(["", " "])
    typed = (
        f"功率是{written}{gap}{name}。"
        if language == "zh"
        else f"It reads {written}{gap}{name} now."
    )

    def right(spoken: str) -> bool:
        # 五千瓦 is five and 千瓦: the unit's 千 is no part of the number.
        said = numbers(re.sub(f"千(?=[{BASES}])", "|", spoken), language)
        rest = re.sub(r"^.*(?:是|reads )", "", spoken)
        if not said or said[0] != _value(written):
            return False
        exponent = spoken_exponent(unit_of(rest, language), language)
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
    zh, en = draw.choice([("数值是", "The value is "), ("k = ", "So k = "), ("约", "About ")])
    typed = f"{zh}{form}，对吗" if language == "zh" else f"{en}{form} here."

    def right(spoken: str) -> bool:
        said = numbers(spoken, language)
        minus = ("负" if language == "zh" else "minus") in spoken
        return said == [_value(written), 10, abs(exponent)] and minus == (exponent < 0)

    return Case(typed, language, right)


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
            ORDINALS.get(match[2]),
            english_year(match[3]),
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
        said = clock(whole, bool(minute or second))
        return said == (hour, minute) and (second is None or numbers(words[-1], "en") == [second])

    return Case(f"We left at {form} and ate", language, lambda s: right(s.removesuffix(" and ate")))


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
