"""Ordinals and what is left: numbers that no other rule took."""

from __future__ import annotations

import re

from ..core import english
from ..core.context import Place, Reader
from ..core.readback import same_quantity
from ..core.wetext_backend import read_leftover
from .base import INTEGER, NUMBER, SIGN, START, Rule, rule

_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_PARTS = (
    "Chapter|Part|Section|Volume|Vol|Book|War|Act|Scene|Phase|Type|Class|Appendix|Article|Grade|"
    "Stage|Level|Episode|Figure|Table|Unit"
)
_RULERS = (
    "Henry|Louis|Elizabeth|Charles|George|Edward|William|James|Richard|Philip|Napoleon|Francis|"
    "Benedict|Pius|Leo|Nicholas|Alexander|Catherine|Frederick|Mary|Ramses|Xerxes|Darius|Gustav"
)
# 2、3个 is about so many; 1、2、3项 is a list.
_THREE_AFTER = re.compile("[、或]3(?![0-9.、])")
_ORDERED_BEFORE = re.compile(r"(?:第|初)\s?$")


@rule("ordinal", START + rf"(?P<n>{INTEGER})(?:st|nd|rd|th)(?![A-Za-z])")
def english_ordinal(match: re.Match[str], place: Place, reader: Reader) -> str:
    """23rd, 1,000th; it stays English in a Chinese text."""
    return english.ordinal(match["n"].replace(",", ""))


@rule(
    "ordinal",
    r"(?<![A-Za-z])(?:No|NO|no|Nos)\.\s?(?P<n>[0-9]+)(?![0-9])|№\s?(?P<m>[0-9]+)|(?<![A-Za-z0-9#&])#(?P<h>[0-9]+)(?![0-9A-Za-z])",
)
def numbered(match: re.Match[str], place: Place, reader: Reader) -> str:
    """No. 5, #1."""
    value = reader.integer(match["n"] or match["m"] or match["h"])
    return reader.say(f"第{value}", f"number {value}")


@rule("roman number", rf"\b(?P<word>{_PARTS})\s(?P<n>[IVXLC]+)\b(?!')")
def roman_part(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """Chapter IV, World War II."""
    value = roman(match["n"])
    return f"{match['word']} {english.cardinal(str(value))}" if value else None


@rule("roman number", rf"\b(?P<word>{_RULERS})\s(?P<n>[IVX]+)\b(?!')")
def roman_ruler(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """Henry VIII; a lone I after a name is the pronoun."""
    value = roman(match["n"])
    if not value or match["n"] == "I":
        return None
    return f"{match['word']} the {english.ordinal(str(value))}"


@rule(
    "list number",
    r"(?:(?<=\n)|\A)\s*(?P<n>[0-9]{1,2})(?:[)）]\s?|、(?![0-9])\s?|\.(?:\s|(?=[\u4e00-\u9fff])))(?=\S)",
)
def bullet(match: re.Match[str], place: Place, reader: Reader) -> str:
    """ "1. " and "2)" at the start of a line."""
    return reader.integer(match["n"]) + reader.say("，", ", ")


@rule("number", f"(?P<sign>{SIGN})?(?P<n>{NUMBER})")
def number(match: re.Match[str], place: Place, reader: Reader) -> str:
    """Any number that is left, with a unit that only wetext knows or letters that follow."""
    end = match.end()
    written, sign = match["n"], match["sign"] or ""
    if _ORDERED_BEFORE.search(place.before(match.start())):
        return reader.integer(written) if "." not in written else reader.number(written)
    following = place.after(end)
    if about := written == "2" and _THREE_AFTER.match(following):
        following = following[about.end() :] if place.before(match.start(), 1) != "、" else ""
    if written == "2" and following[:1] == "分" and place.before(match.start(), 1) in ("点", "时"):
        following = ""  # 8点2分
    return reader.signed(sign, written, following)


@rule(
    "unit",
    f"(?<![A-Za-z0-9.])(?P<n>{NUMBER})\\s?(?P<u>[A-Za-zμ]{{1,5}}(?:/[a-z]{{1,3}})?)(?![A-Za-z0-9])",
)
def rare_unit(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """5kPa: units that the built-in table lacks, as wetext reads them."""
    if (
        match["u"] in ("x", "X")
        or place.options.numbers != "auto"
        or "," in match["n"]
        or (match["u"].islower() and len(match["u"]) > 3)
    ):
        return None
    spoken = read_leftover(match.group().replace(" ", ""), reader.language, place.options.backend)
    # An answer that keeps letters of a unit did not know it: 5mmol -> 五毫米ol; one that says
    # another value folded its case: 5 mW -> five megawatts.
    if (
        spoken is None
        or not same_quantity(match.group(), spoken, reader.language)
        or re.search(rf"(?i)\b{re.escape(match['u'])}\b", spoken)
    ):
        return None
    return None if reader.zh and re.search("[A-Za-z]", spoken) else spoken


def roman(written: str) -> int:
    """Value of a Roman number in its normal form, else 0."""
    total = 0
    for letter, following in zip(written, [*written[1:], ""], strict=True):
        value = _ROMAN[letter]
        total += -value if following and _ROMAN[following] > value else value
    return total if _to_roman(total) == written else 0


def _to_roman(value: int) -> str:
    pairs = ((100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"))
    text = ""
    for size, letters in (*pairs, (4, "IV"), (1, "I")):
        while value >= size:
            value, text = value - size, text + letters
    return text


PLAIN: tuple[Rule, ...] = (
    *(english_ordinal, numbered, roman_part, roman_ruler, rare_unit, number),
)
