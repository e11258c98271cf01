"""Percent and fractions."""

from __future__ import annotations

import re

from ..core import chinese, english
from ..core.context import Place, Reader
from ..core.units import UNIT, find_unit
from .base import NUMBER, SIGN, START, TO, Rule, rule

_PER = {
    "%": ("百分之", "percent"),
    "‰": ("千分之", "per thousand"),
    "‱": ("万分之", "per ten thousand"),
}
_N = f"(?:{NUMBER})"


@rule(
    "percent",
    f"(?P<sign>{SIGN})?(?<![0-9])(?P<a>{_N})(?:\\s?(?P<p>[%‰‱]))?{TO}(?P<b>{_N})\\s?(?P<q>[%‰‱])",
)
def percent_range(match: re.Match[str], place: Place, reader: Reader) -> str:
    """3%-5%, 3-5%."""
    zh, en = _PER[match["q"]]
    first, last = reader.number(match["a"]), reader.number(match["b"])
    sign = reader.sign(match["sign"] or "")
    if reader.zh:
        return f"{sign}{zh}{first}到{zh}{last}"
    middle = f" {en}" if match["p"] else ""
    return f"{sign}{first}{middle} to {last} {en}"


@rule("percent", f"(?P<sign>{SIGN})?(?<![0-9])(?P<a>{_N})\\s?(?P<p>[%‰‱])")
def percent(match: re.Match[str], place: Place, reader: Reader) -> str:
    """12.5%, -3%."""
    zh, en = _PER[match["p"]]
    sign, value = reader.sign(match["sign"] or ""), reader.number(match["a"])
    return reader.say(f"{sign}{zh}{value}", f"{sign}{value} {en}")


@rule(
    "fraction",
    rf"{START}(?:(?P<w>[0-9]+)\s)?(?P<a>[0-9]{{1,4}})/(?P<b>[0-9]{{1,4}})(?![0-9/])(?!\.[0-9])"
    rf"(?:\s?(?P<u>{UNIT})|(?P<inch>[\"″])(?=\s[a-z]))?",
)
def fraction(match: re.Match[str], place: Place, reader: Reader) -> str:
    """1/3, 1 1/2, 3/4 tsp, 1/4" bolt; 24/7 and the like are no fractions."""
    number = _fraction(match, reader)
    if match["inch"]:
        return number + reader.say("英寸", " inch")
    if not match["u"]:
        return number
    unit = find_unit(match["u"], reader.number)
    if reader.zh or match["w"] or "slash" in number:
        return number + reader.say(unit.zh, f" {unit.many}")
    article = "an" if unit.one[0] in "aeio" or unit.one.startswith("hour") else "a"
    return f"{number} of {article} {unit.one}"


def _fraction(match: re.Match[str], reader: Reader) -> str:
    whole, top, bottom = match["w"], match["a"], match["b"]
    if match.group() in ("9/11", "50/50", "20/20") and not reader.zh:
        return " ".join(reader.number(n) for n in (top, bottom))
    if int(top) >= int(bottom) or int(bottom) < 2 or top == "0":
        spoken = _slashed(match, reader)
    else:
        spoken = chinese.fraction(top, bottom) if reader.zh else english.fraction(top, bottom)
        if not reader.zh and top == "1" and whole:
            spoken = spoken.replace("one ", "a ", 1)
        if whole:
            return f"{reader.number(whole)}{reader.say('又', ' and ')}{spoken}"
    return f"{reader.number(whole)} {spoken}" if whole else spoken


def _slashed(match: re.Match[str], reader: Reader) -> str:
    parts = [reader.number(n) for n in match.group("a", "b")]
    if match.group() == "24/7":
        return reader.say("", " ").join(parts)
    return reader.say("斜杠", " slash ").join(parts)


PARTS: tuple[Rule, ...] = (percent_range, percent)
