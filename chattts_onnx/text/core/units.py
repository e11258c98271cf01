"""Units: how each is written and spoken, and how one is composed of others.

A unit's case is its value (mW is no MW), so no other case of a prefix is read as a unit:
:func:`is_miswritten` says of such letters that they are to be spelled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from . import chinese, english
from .tables import rows

_PREFIXES = {
    "P": ("拍", "peta", 15),
    "T": ("太", "tera", 12),
    "G": ("吉", "giga", 9),
    "M": ("兆", "mega", 6),
    "k": ("千", "kilo", 3),
    "h": ("百", "hecto", 2),
    "d": ("分", "deci", -1),
    "c": ("厘", "centi", -2),
    "m": ("毫", "milli", -3),
    "μ": ("微", "micro", -6),
    "n": ("纳", "nano", -9),
    "p": ("皮", "pico", -12),
    "f": ("飞", "femto", -15),
    "a": ("阿", "atto", -18),
    "E": ("艾", "exa", 18),
    "Z": ("泽", "zetta", 21),
}
_SQUARES = {"2": ("平方", "square "), "3": ("立方", "cubic ")}


@dataclass(frozen=True)
class Unit:
    """``zh`` follows the number; English has ``one`` and ``many``.

    ``below``: it may stand under a slash.  ``bound``: alone its letter means something else.
    ``length``: its powers are areas and volumes.  ``exponent``: of ten, by its prefix.
    """

    zh: str
    one: str
    many: str
    below: bool = False
    bound: bool = False
    length: bool = False
    exponent: int = 0


def _rows() -> Iterator[tuple[str, list[str], Unit]]:
    for symbol, prefixes, zh, one, many, flags in rows("units"):
        plural = {"-": f"{one}s"}.get(many, many or one)
        marks = {"below": "d" in flags, "bound": "b" in flags, "length": "l" in flags}
        yield symbol, prefixes.split(), Unit(zh, one, plural, **marks)


def _prefixed(prefix: str, unit: Unit) -> Unit:
    zh, en, exponent = _PREFIXES[prefix]
    return Unit(
        zh + unit.zh, en + unit.one, en + unit.many, unit.below, False, unit.length, exponent
    )


def _other_cases(symbol: str, prefix: str, prefixes: list[str]) -> Iterator[str]:
    """Cases of a name that mean nothing else: KHz, ghz, DB; never another case of m or M."""
    name = prefix + symbol
    if symbol in "Bb" or len(name) < 2 or (not prefix and symbol[0] in "MKGT"):
        return
    if prefix in ("k", "h", "G", "T", "c", "d", ""):
        yield from {"K" + symbol if prefix == "k" else name, name.lower(), name.upper()} - {name}
    elif prefix == "M" and len(symbol) > 1:
        yield from {name.upper(), "M" + symbol.lower()} - {name}
    elif prefix == "m" and len(symbol) > 1 and "M" not in prefixes:
        yield name.lower()


@cache
def _names() -> dict[str, Unit]:
    """Every written name of one unit, without powers."""
    names: dict[str, Unit] = {}
    aliases: dict[str, Unit | None] = {}
    table = list(_rows())
    for symbol, prefixes, unit in table:
        names[symbol] = unit
        for prefix in prefixes:
            names.setdefault(prefix + symbol, _prefixed(prefix, unit))
    for symbol, prefixes, unit in table:
        for prefix in ["", *prefixes]:
            for alias in _other_cases(symbol, prefix, prefixes):
                meant = names[prefix + symbol]
                aliases[alias] = meant if aliases.get(alias, meant) == meant else None
        if symbol == "mmHg":
            aliases["mmhg"] = unit
    # KN may be a knot or a kilonewton, NM a nanometer or a newton meter: neither.
    for name, unit in names.items():
        for alias in {name.upper(), name.lower()} & aliases.keys():
            if aliases[alias] != unit and (alias[0] not in "Mm" or alias[0] == name[0]):
                aliases[alias] = None
    aliases |= {f"u{name[1:]}": unit for name, unit in names.items() if name[0] == "μ"}
    return {**{name: unit for name, unit in aliases.items() if unit is not None}, **names}


def _either(names: Iterable[str]) -> str:
    return "(?:" + "|".join(map(re.escape, sorted(names, key=lambda n: (-len(n), n)))) + ")"


_ALL = _names()
_NAME = _either(list(_ALL))
_FREE = _either([name for name, unit in _ALL.items() if not unit.bound])
_LENGTH = _either([name for name, unit in _ALL.items() if unit.length])
_BELOW = _either([name for name, unit in _ALL.items() if unit.below])
# m², m^2, m2; s⁻¹ is a unit under a slash.
_POWER = r"(?:\^(?:-[1-9]|[23])\s?|(?<=m)[23](?![0-9])|(?<=ft)[23](?![0-9]))?"
_DOT = r"\s?[·⋅∙•]\s?"
_AMOUNT = r"(?:[0-9]+(?:\.[0-9]+)?(?:\^[0-9]+)?\s?)?"
_END = r"(?![A-Za-z0-9^Ͱ-Ͽ])"
_TIMES = rf"(?:{_DOT}|(?<=k[WV])-(?=[hA])|(?<=N)-(?=m)|(?<=ft)-(?=lb))"
_UNDER = rf"/(?:{_AMOUNT}{_BELOW}{_POWER}|\({_BELOW}{_POWER}(?:{_DOT}{_BELOW}{_POWER})?\))"
_FURTHER = rf"(?:{_TIMES}{_NAME}{_POWER}|{_UNDER})"
# Alone after a number, and after a power of ten, where a letter such as C can be nothing else.
UNIT = rf"(?:(?:{_NAME}{_POWER}{_FURTHER}{{1,5}}|{_FREE}{_POWER}){_END})"
UNIT_AFTER_POWER = rf"(?:{_NAME}{_POWER}{_FURTHER}{{0,5}}{_END})"
UNIT_BELOW = rf"(?:{_BELOW}{_POWER}{_END})"
# Not yet looked up: what is written like a unit.
UNIT_LIKE = r"[A-Za-zμΩÅ°][A-Za-zμΩ°/^·0-9]{0,9}?"
UNIT_PATTERN = re.compile(UNIT)
_PART = re.compile(rf"({_NAME})({_POWER})")
_UNDER_PART = re.compile(rf"\(?({_AMOUNT})({_BELOW})({_POWER})")
_FOLDED = {name.casefold() for name, unit in _ALL.items() if not unit.bound and len(name) > 1}


def is_miswritten(letters: str) -> bool:
    """Whether letters are a unit but for their case, which is their value: mb, Mbs, MAH."""
    return letters not in _ALL and letters.casefold() in _FOLDED and len(letters) > 1


def find_unit(written: str, number: Callable[[str], str] = str) -> Unit:
    """The unit of a match of :data:`UNIT`; ``number`` speaks an amount under its slash."""
    written = written.replace("µ", "μ")
    if written in _ALL:
        return _ALL[written]
    head, *under = re.split(r"/(?=[(0-9A-Za-zμ°])", written)
    above, below = [], []
    for name, power in _PART.findall(head):
        unit = _raised(_ALL[name], power)
        if "-" in power:
            below.append((unit.zh, unit.one))
        else:
            above.append(unit)
    for part in under:
        for amount, name, power in _UNDER_PART.findall(part):
            unit = _raised(_ALL[name], power)
            spoken = number(amount.strip()) if amount else ""
            english = f"{spoken} {unit.many}" if spoken else unit.one
            below.append((spoken + unit.zh, english))
    ones = [unit.one for unit in above]
    many = [*ones[:-1], above[-1].many] if above else []
    return Unit(
        # kW·h is 千瓦时.
        above[0].zh
        + "".join("时" if unit.zh == "小时" else unit.zh for unit in above[1:])
        + "".join(f"每{name}" for name, _ in below)
        if above
        else "".join(f"每{name}" for name, _ in below),
        " ".join([*ones, *(f"per {name}" for _, name in below)]),
        " ".join([*many, *(f"per {name}" for _, name in below)]),
        exponent=sum(unit.exponent for unit in above),
    )


def _raised(unit: Unit, power: str) -> Unit:
    """A unit to a power as it is written: ^2, 2, ^-1."""
    size = power.strip().lstrip("^-")
    if size in ("", "1"):
        return unit
    if unit.length and size in _SQUARES:
        zh, en = _SQUARES[size]
        return Unit(zh + unit.zh, en + unit.one, en + unit.many)
    zh = {"2": "二次方", "3": "三次方"}.get(size, f"{chinese.cardinal(size)}次方")
    en = {"2": "squared", "3": "cubed"}.get(size, f"to the {english.cardinal(size)}")
    return Unit(zh + unit.zh, f"{unit.one} {en}", f"{unit.many} {en}")
