"""Percent, units, ranges, fractions, powers and arithmetic."""

from __future__ import annotations

import re

from .. import chinese, english
from ..context import Place, Reader
from ..units import CURRENCY, UNIT, UNITS, Unit, find_unit
from .base import ARTICLE, NUMBER, SIGN, START, TO, Rule, rule

_PER = {
    "%": ("百分之", "percent"),
    "‰": ("千分之", "per thousand"),
    "‱": ("万分之", "per ten thousand"),
}
_COMPARE = {
    "<": ("小于", "less than"),
    ">": ("大于", "greater than"),
    "≤": ("小于等于", "at most"),
    "<=": ("小于等于", "at most"),
    "≥": ("大于等于", "at least"),
    ">=": ("大于等于", "at least"),
    "≈": ("约等于", "about"),
    "~": ("约", "about"),
    "～": ("约", "about"),
    "≠": ("不等于", "not equal to"),
    "=": ("等于", "equals"),
    "==": ("等于", "equals"),
    "!=": ("不等于", "not equal to"),
}
_OPERATORS = {
    "+": ("加", "plus"),
    "-": ("减", "minus"),
    "–": ("减", "minus"),
    "×": ("乘", "times"),
    "x": ("乘", "times"),
    "X": ("乘", "times"),
    "*": ("乘", "times"),
    "÷": ("除以", "divided by"),
    "/": ("除以", "divided by"),
    **{k: v for k, v in _COMPARE.items() if k not in "~～"},
}
_OPERATOR = "|".join(re.escape(k) for k in sorted(_OPERATORS, key=len, reverse=True))
_MATH = re.compile(f"\\s?({_OPERATOR})\\s?")
_SCORE_BEFORE = re.compile(
    r"(?:比分|以|胜|赢|输|负|won|lost|win|lead|score(?: was| is)?)\s?$", re.IGNORECASE
)
_N = f"(?:{NUMBER})"

# Bounded, so that a long chain that turns out to be no equation is not walked from each number.
_TERM = f"{_N}(?:\\^[-+]?[0-9]+)?"
_TERMS = f"{_TERM}(?:\\s?[-+–×xX*÷/]\\s?{_TERM}){{0,8}}"


@rule(
    "arithmetic",
    f"(?<![A-Za-z0-9])-?{_TERMS}(?:\\s?(?:==?|!=|≈|≠|≤|≥|<=|>=|<|>)\\s?-?{_TERMS})+(?![A-Za-z0-9])",
)
def equation(match: re.Match[str], place: Place) -> str:
    """3+5=8, 5 > 3."""
    return _spell_math(match.group(), place.reader(*match.span()))


@rule("arithmetic", START + f"{_TERM}(?:\\s?[+÷×*]\\s?{_TERM})+(?![0-9])")
def sum_or_product(match: re.Match[str], place: Place) -> str:
    """3+5, 6÷2, 3×4: no equation, but operators that mean nothing else."""
    return _spell_math(match.group(), place.reader(*match.span()))


@rule("arithmetic", r"(?<=[A-Za-z²³])\*(?=[0-9])")
def times_sign(match: re.Match[str], place: Place) -> str:
    """10cm*20cm."""
    return place.reader(*match.span()).say("乘", " times ")


@rule("dimensions", START + f"(?P<a>{_N})(?P<rest>(?:\\s?[xX]\\s?{_N})+)(?![0-9A-Za-z])")
def dimensions(match: re.Match[str], place: Place) -> str:
    """1920x1080."""
    reader = place.reader(*match.span())
    numbers = [reader.number(n) for n in re.split(r"\s?[xX]\s?", match.group())]
    return reader.say("乘", " by ").join(numbers)


def _spell_math(written: str, reader: Reader) -> str:
    spoken = []
    for index, part in enumerate(_MATH.split(written)):
        if index % 2:
            spoken.append(reader.say(*_OPERATORS[part]))
        elif part:
            number, _, exponent = part.partition("^")
            spoken.append(reader.number(number) + (_raised(reader, exponent) if exponent else ""))
        elif index == 0:
            spoken.append("")
    if spoken and not spoken[0]:  # the text begins with a minus sign
        spoken[:2] = [reader.say("负", "minus")]
    return reader.say("", " ").join(spoken)


@rule(
    "percent",
    f"(?P<sign>{SIGN})?(?<![0-9])(?P<a>{_N})(?:\\s?(?P<p>[%‰‱]))?{TO}(?P<b>{_N})\\s?(?P<q>[%‰‱])",
)
def percent_range(match: re.Match[str], place: Place) -> str:
    """3%-5%, 3-5%."""
    reader = place.reader(*match.span())
    zh, en = _PER[match["q"]]
    first, last = reader.number(match["a"]), reader.number(match["b"])
    sign = reader.sign(match["sign"] or "")
    if reader.zh:
        return f"{sign}{zh}{first}到{zh}{last}"
    middle = f" {en}" if match["p"] else ""
    return f"{sign}{first}{middle} to {last} {en}"


@rule("percent", f"(?P<sign>{SIGN})?(?<![0-9])(?P<a>{_N})\\s?(?P<p>[%‰‱])")
def percent(match: re.Match[str], place: Place) -> str:
    """12.5%, -3%."""
    reader = place.reader(*match.span())
    zh, en = _PER[match["p"]]
    sign, value = reader.sign(match["sign"] or ""), reader.number(match["a"])
    return reader.say(f"{sign}{zh}{value}", f"{sign}{value} {en}")


@rule(
    "unit",
    f"(?P<sign>{SIGN})?(?<![0-9.])(?P<a>{_N})\\s?(?P<u>{UNIT})?{TO}(?P<neg>-)?(?P<b>{_N})\\s?(?P<v>{UNIT})",
)
def unit_range(match: re.Match[str], place: Place) -> str:
    """5-10km, -5~3°C."""
    reader, unit = place.reader(*match.span()), find_unit(match["v"])
    first = _measured(reader, match["sign"] or "", match["a"], unit, name=bool(match["u"]))
    last = _measured(reader, match["neg"] or "", match["b"], unit)
    return f"{first}{reader.say('到', ' to ')}{last}"


@rule("unit", f"(?P<sign>{SIGN})?(?<![0-9.])(?P<a>{_N})\\s?(?P<u>{UNIT})")
def unit(match: re.Match[str], place: Place) -> str:
    """5kg, 10 km/h, -5°C, 20m²."""
    reader, measure = place.reader(*match.span()), find_unit(match["u"])
    if not reader.zh and ARTICLE.search(place.before(match.start())):
        return f"{reader.signed(match['sign'] or '', match['a'])} {measure.one}"
    return _measured(reader, match["sign"] or "", match["a"], measure)


def _measured(reader: Reader, sign: str, written: str, unit: Unit, name: bool = True) -> str:
    if reader.zh:
        below = sign == "-" and unit.zh in ("摄氏度", "度")
        spoken = ("零下" if below else reader.sign(sign)) + reader.number(written, unit.zh)
        return spoken + (unit.zh if name else "")
    spoken = reader.signed(sign, written)
    one = written.replace(",", "") == "1"
    return f"{spoken} {unit.one if one else unit.many}" if name else spoken


@rule("unit", f"(?P<a>{_N})\\s?(?P<u>[A-Za-z]{{1,4}})/(?P<b>10*)\\s?(?P<v>{UNIT})")
def rate(match: re.Match[str], place: Place) -> str | None:
    """8.5L/100km; 220V/50Hz are two values."""
    if match["u"] not in UNITS:
        return None
    reader = place.reader(*match.span())
    first = _measured(reader, "", match["a"], UNITS[match["u"]])
    return (
        first + reader.say("每", " per ") + _measured(reader, "", match["b"], find_unit(match["v"]))
    )


@rule(
    "unit",
    f"(?P<sign>{SIGN})?(?<![0-9.])(?P<a>{_N})\\s?(?P<u>[A-Za-zμµ]{{1,4}})/(?P<v>[A-Za-z]{{1,4}})(?![A-Za-z0-9²³^/])",
)
def per_unit(match: re.Match[str], place: Place) -> str | None:
    """500mL/min: any two units of the table."""
    if match["u"] not in UNITS or match["v"] not in UNITS:
        return None
    reader, below = place.reader(*match.span()), UNITS[match["v"]]
    first = _measured(reader, match["sign"] or "", match["a"], UNITS[match["u"]])
    return first + reader.say(f"每{below.zh}", f" per {below.one}")


_PRICED = re.compile(
    r"(?:[0-9万千百亿半一二三四五六七八九十]\s?[\u4e00-\u9fff]{1,3}"
    rf"|(?:{CURRENCY})\s?[0-9][0-9.,]*(?:\s?[A-Za-z]+)?|[0-9]\s?(?:USD|RMB|CNY|EUR|GBP|HKD|JPY|yuan|dollars?))$"
)


@rule("per", rf"/(?:(?P<u>{UNIT})|(?=[\u4e00-\u9fff])(?!第))")
def per(match: re.Match[str], place: Place) -> str | None:
    """8000元/㎡, 5元/斤, 120次/分, $3/kg: the slash after a quantity."""
    if not _PRICED.search(place.before(match.start(), 16)):
        return None
    reader = place.reader(*match.span())
    if not match["u"]:
        return reader.say("每", " per ")
    unit_ = find_unit(match["u"])
    return reader.say(f"每{unit_.zh}", f" per {unit_.one}")


@rule("feet", r"(?<![A-Za-z0-9])(?P<f>[0-9]{1,2})['′](?=\s(?:tall|high|long|wide|deep)\b)")
def only_feet(match: re.Match[str], place: Place) -> str:
    """6' tall."""
    reader = place.reader(*match.span())
    value = reader.number(match["f"])
    return reader.say(f"{value}英尺", f"{value} {'foot' if match['f'] == '1' else 'feet'}")


@rule(
    "feet",
    r"(?<![A-Za-z0-9])(?P<i>[0-9]{1,3}(?:\.[0-9])?)[\"″]"
    r"(?=\s?(?:显示|电视|屏|液晶|(?:screen|display|monitor|tv|tablet|laptop|wheel|pipe)))",
    re.IGNORECASE,
)
def inches(match: re.Match[str], place: Place) -> str:
    """27" monitor, 55"电视."""
    reader = place.reader(*match.span())
    return reader.number(match["i"]) + reader.say("英寸", " inch")


@rule("height", r"(?P<m>[0-9])米(?P<c>[0-9]{2})(?![0-9.]|\s?(?:厘米|公分|[cm]m))")
def metres(match: re.Match[str], place: Place) -> str | None:
    """身高1米75: the rest digit by digit."""
    if place.options.numbers != "auto" or not place.reader(*match.span()).zh:
        return None
    return chinese.counted(match["m"], "米") + "米" + chinese.digits(match["c"])


@rule("feet", r"(?<![A-Za-z0-9])(?P<f>[0-9]{1,2})['′]\s?(?P<i>[0-9]{1,2}(?:\.[0-9])?)(?:\"|″|'')")
def feet(match: re.Match[str], place: Place) -> str:
    """5'10" is feet and inches, 12'30" minutes and seconds."""
    reader = place.reader(*match.span())
    first, last = reader.number(match["f"]), reader.number(match["i"])
    if int(match["f"]) <= 8 and float(match["i"]) < 12:
        return reader.say(f"{first}英尺{last}英寸", f"{first} foot {last}")
    return reader.say(f"{first}分{last}秒", f"{first} minutes {last} seconds")


@rule(
    "angle",
    r"(?<![A-Za-z0-9.])(?P<d>[0-9]{1,3})°(?P<m>[0-9]{1,2})['′](?:(?P<s>[0-9]{1,2}(?:\.[0-9]+)?)[\"″])?",
)
def angle(match: re.Match[str], place: Place) -> str:
    """39°54′26″."""
    reader = place.reader(*match.span())
    names = (("度", "degrees"), ("分", "minutes"), ("秒", "seconds"))
    parts = [
        reader.number(v) + reader.say(zh, f" {en}")
        for v, (zh, en) in zip(match.group("d", "m", "s"), names, strict=True)
        if v
    ]
    return reader.say("", " ").join(parts)


@rule(
    "power",
    f"(?P<sign>{SIGN})?(?<![A-Za-z0-9])(?P<a>{_N})(?:\\s?[eE]|\\s?[×xX*]\\s?10\\^)(?P<n>[-+]?[0-9]{{1,3}})"
    r"(?![0-9A-Za-z.])",
)
def scientific(match: re.Match[str], place: Place) -> str:
    """1.5e-3, 6.02×10²³."""
    reader = place.reader(*match.span())
    exponent = match["n"].lstrip("+")
    sign = reader.sign("-") if exponent.startswith("-") else ""
    power = sign + reader.integer(exponent.lstrip("-"))
    value = reader.signed(match["sign"] or "", match["a"])
    return reader.say(f"{value}乘以十的{power}次方", f"{value} times ten to the {power}")


@rule("power", r"(?P<a>[0-9]+(?:\.[0-9]+)?)(?:\^|\*\*)(?P<n>[-+]?[0-9]+)(?![0-9])")
def power(match: re.Match[str], place: Place) -> str:
    """10^6, 5²."""
    reader = place.reader(*match.span())
    return reader.number(match["a"]) + _raised(reader, match["n"])


@rule("power", r"(?<=[A-Za-z)])\^(?P<n>[-+]?[0-9]+)(?![0-9])")
def letter_power(match: re.Match[str], place: Place) -> str:
    """x²."""
    return _raised(place.reader(*match.span()), match["n"])


def _raised(reader: Reader, exponent: str) -> str:
    if exponent in ("2", "3"):
        zh, en = {"2": ("的平方", " squared"), "3": ("的立方", " cubed")}[exponent]
        return reader.say(zh, en)
    sign = reader.sign("-") if exponent.startswith("-") else ""
    spoken = sign + reader.integer(exponent.lstrip("+-"))
    return reader.say(f"的{spoken}次方", f" to the power of {spoken}")


@rule(
    "fraction",
    START + r"(?:(?P<w>[0-9]+)\s)?(?P<a>[0-9]{1,4})/(?P<b>[0-9]{1,4})(?![0-9/])(?!\.[0-9])",
)
def fraction(match: re.Match[str], place: Place) -> str:
    """1/3, 1 1/2; 24/7 and the like are no fractions."""
    reader = place.reader(*match.span())
    whole, top, bottom = match["w"], match["a"], match["b"]
    if int(top) >= int(bottom) or int(bottom) < 2 or top == "0":
        parts = [reader.number(n) for n in (top, bottom)]
        spoken = reader.say("斜杠", " " if match.group() == "24/7" else " slash ").join(parts)
    else:
        spoken = chinese.fraction(top, bottom) if reader.zh else english.fraction(top, bottom)
        if not reader.zh and top == "1" and whole:
            spoken = spoken.replace("one ", "a ", 1)
        if whole:
            return f"{reader.number(whole)}{reader.say('又', ' and ')}{spoken}"
    return f"{reader.number(whole)} {spoken}" if whole else spoken


@rule(
    "range",
    f"(?P<sign>{SIGN})?(?<![0-9.])(?P<a>{_N}){TO}(?P<b>{_N})(?![0-9])(?!\\.[0-9])(?![-–][0-9])",
)
def range_(match: re.Match[str], place: Place) -> str:
    """3-5天, 20~30; after 比分 or "won" a score."""
    reader, following = place.reader(*match.span()), place.after(match.end())
    hyphen = re.search(r"[-–—]", match.group())
    if hyphen and _SCORE_BEFORE.search(place.before(match.start())):
        return reader.number(match["a"]) + reader.say("比", " to ") + reader.number(match["b"])
    ordinal = place.before(match.start()).rstrip().endswith("第")
    speak = reader.integer if ordinal else lambda n: reader.number(n, following)
    sign = reader.sign(match["sign"] or "")
    return f"{sign}{speak(match['a'])}{reader.say('到', ' to ')}{speak(match['b'])}"


_QUANTITY_BEFORE = re.compile(
    r"[0-9一二三四五六七八九十百千万亿半](?:[日号月年时点分秒天岁元度周]|个?小时|分钟|个?月|公里|公斤)$"
)
_WEEKDAY_BEFORE = re.compile(r"(?:周|星期|礼拜)[一二三四五六日天]$")


@rule("range", r"[-–—~～](?=[0-9])")
def between(match: re.Match[str], place: Place) -> str | None:
    """5月1日-5月3日, 10分钟-15分钟: the dash after a quantity; 今天-5℃ is no range."""
    return "到" if _QUANTITY_BEFORE.search(place.before(match.start())) else None


@rule("range", r"[-–—~～](?=(?:周|星期|礼拜)[一二三四五六日天])")
def weekdays(match: re.Match[str], place: Place) -> str | None:
    """周一-周五."""
    return "到" if _WEEKDAY_BEFORE.search(place.before(match.start())) else None


@rule("comparison", r"(?P<op><=|>=|!=|==|[<>≤≥≈~～])\s?(?=-?\.?[0-9])")
def comparison(match: re.Match[str], place: Place) -> str:
    """≥5, ~100, <5%: the sign alone, since any rule may read what follows."""
    reader = place.reader(*match.span())
    return reader.say(*_COMPARE[match["op"]]) + reader.say("", " ")


QUANTITIES: tuple[Rule, ...] = (
    equation,
    feet,
    angle,
    scientific,
    percent_range,
    percent,
    rate,
    per_unit,
    per,
    metres,
    only_feet,
    inches,
    unit_range,
    unit,
    power,
    letter_power,
    sum_or_product,
    times_sign,
    dimensions,
    fraction,
    range_,
    between,
    weekdays,
    comparison,
)
