"""Arithmetic: equations, sums, powers, ions and comparisons."""

from __future__ import annotations

import re

from ..core.context import Place, Reader
from ..core.tables import symbols
from .base import NUMBER, SIGN, START, Rule, rule

_COMPARE = symbols("compare")
_OPERATORS = symbols("number") | {k: v for k, v in _COMPARE.items() if k not in "~～"}
_N = f"(?:{NUMBER})"
_OPERATOR = "|".join(re.escape(k) for k in sorted(_OPERATORS, key=len, reverse=True))
# A number with its power, or an operator: the sign of a power is no operator.
_TOKEN = re.compile(rf"({_N})((?:\^[-+]?[0-9]+)?)|({_OPERATOR})")

# Bounded, so that a long chain that turns out to be no equation is not walked from each number.
_TERM = f"{_N}(?:\\^[-+]?[0-9]+)?"
_TERMS = f"{_TERM}(?:\\s?[-+–×xX*÷/]\\s?{_TERM}){{0,8}}"


@rule(
    "arithmetic",
    f"(?<![A-Za-z0-9])-?{_TERMS}(?:\\s?(?:==?|!=|≈|≠|≤|≥|<=|>=|<|>)\\s?-?{_TERMS})+(?![A-Za-z0-9])",
)
def equation(match: re.Match[str], place: Place, reader: Reader) -> str:
    """3+5=8, 5 > 3."""
    return _spell_math(match.group(), reader)


@rule("arithmetic", START + f"{_TERM}(?:\\s?[+÷×*]\\s?{_TERM})+(?![0-9])")
def sum_or_product(match: re.Match[str], place: Place, reader: Reader) -> str:
    """3+5, 6÷2, 3×4: no equation, but operators that mean nothing else."""
    return _spell_math(match.group(), reader)


@rule("arithmetic", r"(?<=[A-Za-z²³])\*(?=[0-9])")
def times_sign(match: re.Match[str], place: Place, reader: Reader) -> str:
    """10cm*20cm."""
    return reader.say("乘", " times ")


@rule("dimensions", START + f"(?P<a>{_N})(?P<rest>(?:\\s?[xX]\\s?{_N})+)(?![0-9A-Za-z])")
def dimensions(match: re.Match[str], place: Place, reader: Reader) -> str:
    """1920x1080."""
    numbers = [reader.number(n) for n in re.split(r"\s?[xX]\s?", match.group())]
    return reader.say("乘", " by ").join(numbers)


def _spell_math(written: str, reader: Reader) -> str:
    spoken: list[str] = []
    number = False
    for value, exponent, operator in _TOKEN.findall(written):
        if value:
            power_ = _raised(reader, exponent[1:]) if exponent else ""
            spoken.append(reader.number(value) + power_)
        elif operator == "-" and not number:  # a sign, not an operation
            spoken.append(reader.say("负", "minus"))
        else:
            spoken.append(reader.say(*_OPERATORS[operator]))
        number = bool(value)
    return reader.say("", " ").join(spoken)


@rule(
    "power",
    f"(?:(?P<psign>{SIGN})?(?<![A-Za-z0-9.])(?P<m>{_N})(?:\\s?[×xX*·]\\s?10\\^|[eE](?=[-+0-9]))"
    r"|(?<![A-Za-z0-9.])10\^)(?P<n>[-+]?[0-9]{1,4}|\([-+]?[0-9]{1,4}\))",
)
def power_of_ten(match: re.Match[str], place: Place, reader: Reader) -> str:
    """1.5e-3, 6.02×10²³, 10⁻³: what a unit may follow."""
    exponent = match["n"].strip("()").lstrip("+")
    sign = reader.sign("-") if exponent.startswith("-") else ""
    spoken = sign + reader.integer(exponent.lstrip("-"))
    if not match["m"]:
        if exponent in ("2", "3"):
            return reader.number("10") + _raised(reader, exponent)
        return reader.say(f"十的{spoken}次方", f"ten to the power of {spoken}")
    value = reader.signed(match["psign"] or "", match["m"])
    return reader.say(f"{value}乘以十的{spoken}次方", f"{value} times ten to the {spoken}")


@rule("power", power_of_ten.pattern.pattern + r"(?![0-9A-Za-z^]|\.[0-9])")
def scientific(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """The same without a unit."""
    return power_of_ten.read(match, place, reader)


_EXPONENT = r"(?:\^|\*\*)(?P<n>[-+]?[0-9]+|\([-+]?[0-9]+\)|[-+]?[nmkxyt](?![A-Za-z0-9]))(?![0-9])"


@rule("power", rf"(?P<sign>{SIGN})?(?P<a>[0-9]+(?:\.[0-9]+)?){_EXPONENT}")
def power(match: re.Match[str], place: Place, reader: Reader) -> str:
    """10^6, 5², 2^n."""
    value = reader.signed(match["sign"] or "", match["a"])
    return value + _raised(reader, match["n"].strip("()"))


@rule("power", rf"(?<=[A-Za-zα-ω)）]){_EXPONENT}")
def letter_power(match: re.Match[str], place: Place, reader: Reader) -> str:
    """x², x⁻¹, (a+b)^n."""
    return _raised(reader, match["n"].strip("()"))


@rule("ion", r"(?<=[A-Za-z0-9)\]])\^(?P<n>[0-9]*)(?P<s>[-+])(?![0-9A-Za-z])\s?")
def ion(match: re.Match[str], place: Place, reader: Reader) -> str:
    """Ca²⁺, Cl⁻: the charge of an ion."""
    return _charge(reader, match["n"], match["s"])


_METALS = "Li|Na|Rb|Cs|Ag|Be|Mg|Ca|Sr|Ba|Zn|Fe|Cu|Mn|Ni|Co|Cd|Pb|Hg|Al|Cr|Sn|Ti"


@rule(
    "ion",
    rf"(?:(?<=(?<![A-Za-z])[KH])|(?<=(?<![A-Za-z])(?:{_METALS})))"
    r"(?P<n>[1-4]?)(?P<s>\+)(?![0-9A-Za-z+=])",
)
def plain_ion(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """Ca2+, Na+ in plain letters, where the word beside it is of chemistry."""
    near = place.before(match.start(), 16) + place.after(match.end(), 12)
    if not match["n"] and not re.search("离子|浓度|通道|溶液|ion|channel|pump|conc", near):
        return None
    return _charge(reader, match["n"], match["s"])


def _charge(reader: Reader, number: str, sign: str) -> str:
    plus = sign == "+"
    value = number if number not in ("", "1") else ""
    if reader.zh:
        return (reader.integer(value) if value else "") + ("加" if plus else "负")
    spoken = f"{reader.integer(value)} " if value else ""
    return f" {spoken}{'plus' if plus else 'minus'} "


def _raised(reader: Reader, exponent: str) -> str:
    if exponent in ("2", "3"):
        zh, en = {"2": ("的平方", " squared"), "3": ("的立方", " cubed")}[exponent]
        return reader.say(zh, en)
    sign = reader.sign("-") if exponent.startswith("-") else ""
    size = exponent.lstrip("+-")
    spoken = sign + (reader.integer(size) if size.isdigit() else size)
    return reader.say(f"的{spoken}次方", f" to the power of {spoken}")


@rule("comparison", r"(?P<op><=|>=|!=|==|[<>≤≥≈~～])\s?(?=-?\.?[0-9])")
def comparison(match: re.Match[str], place: Place, reader: Reader) -> str:
    """≥5, ~100, <5%: the sign alone, since any rule may read what follows."""
    return reader.say(*_COMPARE[match["op"]]) + reader.say("", " ")


POWERS: tuple[Rule, ...] = (scientific, ion, plain_ion, power, letter_power)
SUMS: tuple[Rule, ...] = (sum_or_product, times_sign, dimensions)
