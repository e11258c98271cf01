"""Quantities with a unit, and what is written with a mark for one: feet, angles, blood pressure."""

from __future__ import annotations

import re

from ..core import chinese
from ..core.context import Place, Reader
from ..core.currencies import CURRENCY
from ..core.units import (
    UNIT,
    UNIT_AFTER_POWER,
    UNIT_BELOW,
    UNIT_LIKE,
    UNIT_PATTERN,
    Unit,
    find_unit,
    is_miswritten,
)
from .arithmetic import power_of_ten
from .base import ARTICLE, NUMBER, SIGN, TO, Rule, rule

_N = f"(?:{NUMBER})"
_MEASURED = f"(?P<sign>{SIGN})?(?<![0-9.])(?P<a>{_N})"
# 42 W 5th Ave.: a letter apart from its number, before a name or number, is no unit.
_NAME_AFTER = re.compile(r"\.?\s(?:[A-Z][a-z]|[0-9])")
# English words that are also units; they stand beside their number as units.
_WORDS = frozenset({"us", "um", "as"})
# 4g网络, a 5g phone: the network's generation, in small letters.
_GENERATION = re.compile(
    r"\s?(?:网|手机|信号|套餐|时代|基站|芯片|路由|(?:network|phone|signal)s?\b)"
)
_PRINCIPLE = re.compile(
    r"\s?(?:原则|法则|理论|模型|分析法|景|级|广告|公司|游戏|大作|企业|类|股|轮|等级|写字楼)"
)
_MODEL_BEFORE = re.compile("[A-Za-z]-$")
_DEFINITE = re.compile(
    r"\b(?:the|this|that|each|every|one|his|her|its|my|our|your|their)\s$", re.IGNORECASE
)
_NOUN_AFTER = re.compile(
    r"\s(?!(?:and|are|at|before|but|by|for|from|has|have|in|into|is|of|off|on|or|over|per|than|that|the|to|was|were|"
    r"when|where|which|will|with)\b)[a-z]{3,}"
)
_BELOW_ZERO = ("摄氏度", "度")


def _is_unit(match: re.Match[str], group: str, place: Place) -> bool:
    """Whether what looks like a unit is one."""
    name, after = match[group], place.after(match.end(group), 16)
    if _MODEL_BEFORE.search(place.before(match.start("a"), 2)):
        return False  # F-16s
    apart = place.text[match.start(group) - 1].isspace()
    if len(name) == 1 and name.isupper() and apart and _NAME_AFTER.match(after):
        return False
    if name in _WORDS and apart:
        return False
    if name in "WA" and _PRINCIPLE.match(after):
        return False
    return not (name == "g" and not apart and _GENERATION.match(after))


def _unit(reader: Reader, written: str) -> Unit:
    return find_unit(written, reader.number)


@rule("unit", f"{_MEASURED}\\s?(?P<u>{UNIT_LIKE})?{TO}(?P<neg>-)?(?P<b>{_N})\\s?(?P<v>{UNIT})")
def unit_range(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """5-10km, -5~3°C, 5kg-10kg."""
    if not _is_unit(match, "v", place):
        return None
    if match["u"] and not UNIT_PATTERN.fullmatch(match["u"]):
        return None
    unit = _unit(reader, match["v"])
    own = _unit(reader, match["u"]) if match["u"] else unit
    first = measured(reader, match["sign"] or "", match["a"], own, name=bool(match["u"]))
    last = measured(reader, match["neg"] or "", match["b"], unit)
    return f"{first}{reader.say('到', ' to ')}{last}"


@rule("unit", f"{_MEASURED}\\s?(?P<u>{UNIT})(?:\\.(?=\\s[a-z]))?")
def unit(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """5kg, 10 km/h, -5°C, 20m², 5.6mmol/L, 25 mg/kg/d."""
    if not _is_unit(match, "u", place):
        return None
    measure = _unit(reader, match["u"])
    if not reader.zh and is_adjective(match, place):
        return f"{reader.signed(match['sign'] or '', match['a'])} {measure.one}"
    return measured(reader, match["sign"] or "", match["a"], measure)


@rule("unit", f"{power_of_ten.pattern.pattern}(?:\\s?|(?P<per>/))(?P<u>{UNIT_AFTER_POWER})")
def unit_after_power(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """1.6×10⁻¹⁹C, 3×10^8m/s, 6.5×10⁹/L."""
    spoken = power_of_ten.read(match, place, reader)
    measure = _unit(reader, match["u"])
    if match["per"]:
        return f"{spoken}{reader.say(f'每{measure.zh}', f' per {measure.one}')}"
    return f"{spoken}{reader.say(measure.zh, f' {measure.many}')}"


@rule("unit letters", f"{_MEASURED}(?P<gap>\\s?)(?P<u>[A-Za-z]{{2,5}})(?![A-Za-z0-9/^])")
def miswritten(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """5 mb, 100mbps, 5MAH: a unit in a case that it does not have is spelled, never guessed."""
    if not is_miswritten(match["u"]) or (match["gap"] and match["u"].istitle()):
        return None
    spoken = reader.signed(match["sign"] or "", match["a"])
    return f"{spoken} {' '.join(match['u'].upper())}"


_DOSE_BEFORE = re.compile(
    r"(?:胰岛素|青霉素|肝素|酶|毒素|干扰素|激素|维生素|[Ii]nsulin|[Hh]eparin)[^0-9]{0,8}$"
)
_DOSE_AFTER = re.compile(r"\s(?:of )?(?:insulin|heparin)|的?(?:胰岛素|青霉素|肝素)")


@rule("unit", f"{_MEASURED}(?P<scale>万)?\\s?U(?![A-Za-z0-9/])")
def dose(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """胰岛素8U, 青霉素80万U: units of what stands before."""
    named = _DOSE_BEFORE.search(place.before(match.start(), 16))
    if not (match["scale"] or named or _DOSE_AFTER.match(place.after(match.end(), 16))):
        return None
    number = reader.number(match["a"], match["scale"] or "个")
    return number + (match["scale"] or "") + reader.say("单位", " units")


def is_adjective(match: re.Match[str], place: Place) -> bool:
    """a 5 kg bag, the 5 kg bag."""
    before = place.before(match.start())
    if ARTICLE.search(before):
        return True
    return bool(_DEFINITE.search(before) and _NOUN_AFTER.match(place.after(match.end(), 16)))


def measured(reader: Reader, sign: str, written: str, unit: Unit, name: bool = True) -> str:
    """A number with its unit (or, in a range, without its ``name``)."""
    if reader.zh:
        below = sign == "-" and unit.zh in _BELOW_ZERO
        two = "个" if unit.zh not in (*_BELOW_ZERO, "华氏度") else ""  # 两瓦, 两太字节
        spoken = ("零下" if below else reader.sign(sign)) + reader.number(written, two)
        return spoken + (unit.zh if name else "")
    spoken = reader.signed(sign, written)
    one = written.replace(",", "") == "1"
    return f"{spoken} {unit.one if one else unit.many}" if name else spoken


_PRICED = re.compile(
    r"(?:[0-9万千百亿半一二三四五六七八九十]\s?(?:[\u4e00-\u9fff]{1,3}|[A-Za-zμ°^2-3]{1,5})"
    rf"|(?:{CURRENCY})\s?[0-9][0-9.,]*(?:\s?[A-Za-z]+)?"
    r"|[0-9]\s?(?:USD|RMB|CNY|EUR|GBP|HKD|JPY|yuan|dollars?))$"
)


@rule("per", rf"/(?:(?P<u>{UNIT_BELOW})|(?=[\u4e00-\u9fff])(?!第))")
def per(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """8000元/㎡, 5元/斤, 120次/分, $3/kg: the slash after a quantity."""
    if not _PRICED.search(place.before(match.start(), 16)):
        return None
    if not match["u"]:
        return reader.say("每", " per ")
    unit_ = _unit(reader, match["u"])
    return reader.say(f"每{unit_.zh}", f" per {unit_.one}")


_PRESSURE_BEFORE = re.compile(r"(?:血压|收缩压|\bBP|blood pressure)[^0-9/]{0,12}$", re.IGNORECASE)


@rule(
    "blood pressure",
    r"(?<![0-9.])(?P<a>[0-9]{2,3})/(?P<b>[0-9]{2,3})(?![0-9/])\s?(?P<u>mm\s?Hg|mmhg|毫米汞柱)?",
)
def pressure(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """血压130/85mmHg, BP 118/76."""
    if not match["u"] and not _PRESSURE_BEFORE.search(place.before(match.start(), 24)):
        return None
    spoken = reader.say("比", " over ").join(reader.number(match[n]) for n in "ab")
    unit_ = reader.say("毫米汞柱", " millimeters of mercury") if match["u"] else ""
    return spoken + unit_


@rule("feet", r"(?<![A-Za-z0-9])(?P<f>[0-9]{1,2})['′](?=\s(?:tall|high|long|wide|deep)\b)")
def only_feet(match: re.Match[str], place: Place, reader: Reader) -> str:
    """6' tall."""
    value = reader.number(match["f"])
    return reader.say(f"{value}英尺", f"{value} {'foot' if match['f'] == '1' else 'feet'}")


@rule(
    "feet", r"(?<![A-Za-z0-9.])(?P<f>[0-9]{1,3})\s?ft\.?,?\s?(?P<i>[0-9]{1,2})\s?in\b\.?(?=\W|\Z)"
)
def feet_and_inches(match: re.Match[str], place: Place, reader: Reader) -> str:
    """5 ft 10 in."""
    first, last = reader.number(match["f"]), reader.number(match["i"])
    feet_ = "foot" if match["f"] == "1" else "feet"
    inch = "inch" if match["i"] == "1" else "inches"
    return reader.say(f"{first}英尺{last}英寸", f"{first} {feet_} {last} {inch}")


@rule(
    "feet",
    r"(?<![A-Za-z0-9])(?P<i>[0-9]{1,3}(?:\.[0-9])?)[\"″]"
    r"(?=\s?(?:显示|电视|屏|液晶|(?:screen|display|monitor|tv|tablet|laptop|wheel|pipe)))",
    re.IGNORECASE,
)
def inches(match: re.Match[str], place: Place, reader: Reader) -> str:
    """27" monitor, 55"电视."""
    return reader.number(match["i"]) + reader.say("英寸", " inch")


@rule("height", r"(?P<m>[0-9])米(?P<c>[0-9]{2})(?![0-9.]|\s?(?:厘米|公分|[cm]m))")
def metres(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """身高1米75: the rest digit by digit."""
    if place.options.numbers != "auto" or not reader.zh:
        return None
    return chinese.counted(match["m"], "米") + "米" + chinese.digits(match["c"])


@rule("feet", r"(?<![A-Za-z0-9])(?P<f>[0-9]{1,2})['′]\s?(?P<i>[0-9]{1,2}(?:\.[0-9])?)(?:\"|″|'')")
def feet(match: re.Match[str], place: Place, reader: Reader) -> str:
    """5'10" is feet and inches, 12'30" minutes and seconds."""
    first, last = reader.number(match["f"]), reader.number(match["i"])
    if int(match["f"]) <= 8 and float(match["i"]) < 12:
        return reader.say(f"{first}英尺{last}英寸", f"{first} foot {last}")
    return reader.say(f"{first}分{last}秒", f"{first} minutes {last} seconds")


@rule(
    "angle",
    r"(?<![A-Za-z0-9.])(?P<d>[0-9]{1,3})°(?P<m>[0-9]{1,2})['′](?:(?P<s>[0-9]{1,2}(?:\.[0-9]+)?)[\"″])?",
)
def angle(match: re.Match[str], place: Place, reader: Reader) -> str:
    """39°54′26″."""
    names = (("度", "degrees"), ("分", "minutes"), ("秒", "seconds"))
    parts = [
        reader.number(v) + reader.say(zh, f" {en}")
        for v, (zh, en) in zip(match.group("d", "m", "s"), names, strict=True)
        if v
    ]
    return reader.say("", " ").join(parts)


MEASURES: tuple[Rule, ...] = (
    *(feet, angle, per, metres, only_feet, feet_and_inches, inches),
    *(unit_range, unit_after_power, unit, dose, miswritten),
)
