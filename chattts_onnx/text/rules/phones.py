"""Telephone numbers, read digit by digit in groups."""

from __future__ import annotations

import re

from ..core.context import Place, Reader, unit_follows
from .base import Rule, rule

_FREE = r"(?<![A-Za-z0-9+])(?<![0-9][-.])"
_END = r"(?![0-9])(?![-.][0-9])"
_EXTENSION = r"(?:\s?(?:转|分机|ext\.?|x)\s?(?P<ext>[0-9]{1,5}))?"
_GAP = r"[^0-9A-Za-z\u4e00-\u9fff]{0,3}"
_CALL_BEFORE = re.compile(
    r"(?:短信(?:发送)?[到至]|电话|手机|分机|热线|拨打|拨|打|致电|传真|号码|客服|tel|phone|call|dial|fax|hotline|text|ring|"
    rf"number){_GAP}(?:是|为|at|is|me at|us at|on)?{_GAP}$",
    re.IGNORECASE,
)
_THINGS = re.compile(r"\s(?:people|men|women|times|[a-z]{3,}s)\b")
_SHORT = frozenset({"110", "112", "114", "119", "120", "122", "911", "999", "12306", "12315"})


def _speak(reader: Reader, match: re.Match[str], *groups: str | None) -> str:
    spoken = reader.phone(*groups)
    extension = match.groupdict().get("ext")
    if not extension:
        return spoken
    return spoken + reader.say("转", ", extension ") + reader.phone(extension)


@rule(
    "phone",
    rf"{_FREE}(?:(?P<cc>(?:\+|00)86)[-\s]?)?"
    rf"(?P<a>1[3-9][0-9])[-\s]?(?P<b>[0-9]{{4}})[-\s]?(?P<c>[0-9]{{4}}){_END}",
)
def mobile(match: re.Match[str], place: Place, reader: Reader) -> str:
    """13800138000, 138-0013-8000, +86 138 0013 8000."""
    country = ""
    if match["cc"]:
        plus = reader.say("加", "plus ") if match["cc"].startswith("+") else ""
        country = plus + reader.phone(match["cc"].lstrip("+")) + reader.say("，", ", ")
    return country + _speak(reader, match, match["a"], match["b"], match["c"])


@rule(
    "phone",
    rf"{_FREE}[(（]?(?P<a>0[0-9]{{2,3}})[)）]?[-\s]?(?P<b>[2-9][0-9]{{2,3}})[-\s]?"
    rf"(?P<c>[0-9]{{4}}){_EXTENSION}{_END}",
)
def landline(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """010-12345678 as 0NN + 7 or 8 digits, with an extension."""
    if not re.search(r"[-\s()（）]", match.group()) and len(match.group()) < 10:
        return None
    return _speak(reader, match, match["a"], match["b"] + match["c"])


@rule(
    "phone",
    rf"{_FREE}(?:(?P<a>0[0-9]{{2,3}})-|[(（](?P<a2>0[0-9]{{2,3}})[)）]\s?)(?P<b>[0-9]{{7,8}})"
    rf"{_EXTENSION}{_END}",
)
def landline_plain(match: re.Match[str], place: Place, reader: Reader) -> str:
    """010-12345678, (010)12345678 whatever the local part begins with."""
    return _speak(reader, match, match["a"] or match["a2"], match["b"])


@rule("phone", _FREE + r"(?P<a>[48]00)[-\s](?P<b>[0-9]{3,4})[-\s](?P<c>[0-9]{3,4})" + _END)
def service(match: re.Match[str], place: Place, reader: Reader) -> str:
    """400-123-4567, 800-820-8820, 400-8888-123."""
    return _speak(reader, match, match["a"], match["b"], match["c"])


@rule(
    "phone",
    r"(?<![A-Za-z0-9.])(?:(?P<cc>\+?1)[-.\s])?(?P<open>\()?(?P<a>[2-9][0-9]{2})(?(open)\)[-.\s]?|[-.\s])(?P<b>[0-9]{3})[-.\s](?P<c>[0-9]{4})"
    + _EXTENSION
    + _END,
)
def american(match: re.Match[str], place: Place, reader: Reader) -> str:
    """(212) 555-1234, 212-555-1234, +1 212 555 1234."""
    country = match["cc"] or ""
    plus = reader.say("加", "plus ") if country.startswith("+") else ""
    return plus + _speak(reader, match, country.lstrip("+"), *match.group("a", "b", "c"))


@rule(
    "phone",
    r"(?<![A-Za-z0-9])\+(?P<cc>[1-9][0-9]{0,2})(?P<rest>(?:[-\s]?\(?[0-9]{2,5}\)?){2,5})" + _END,
)
def international(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """+44 20 7946 0958."""
    groups = re.findall("[0-9]+", match["rest"])
    if sum(map(len, groups)) < 6:
        return None
    plus = reader.say("加", "plus ")
    return plus + _speak(reader, match, match["cc"], *groups)


@rule("phone", _FREE + r"(?P<a>1)-(?P<b>8[0-9]{2})-(?=[A-Z])")
def lettered(match: re.Match[str], place: Place, reader: Reader) -> str:
    """1-800-FLOWERS."""
    return _speak(reader, match, match["a"], match["b"]) + reader.say("，", ", ")


@rule("phone", _FREE + r"(?P<a>[0-9]{3})-(?P<b>[0-9]{4})" + _EXTENSION + _END)
def local(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """555-1234; a range such as 500-1000 or one with a unit behind it is none."""
    before, after = place.before(match.start()), place.after(match.end())
    if not _CALL_BEFORE.search(before):
        first, last = int(match["a"]), int(match["b"])
        if unit_follows(after) or (first % 50 == 0 and last % 50 == 0):
            return None
    return _speak(reader, match, match["a"], match["b"])


@rule("phone", _FREE + r"(?P<a>[0-9]{3,8})" + _END)
def short(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """打110, 拨打12345678, call 911; no number of things (打120次)."""
    number, before = match["a"], place.before(match.start())
    after = place.after(match.end())
    if not _CALL_BEFORE.search(before) or unit_follows(after) or _THINGS.match(after):
        return None
    if (
        before.rstrip().endswith(("打", "text", "number", "ring"))
        and len(number) < 5
        and number not in _SHORT
    ):
        return None
    return _speak(reader, match, number)


PHONES: tuple[Rule, ...] = (
    *(mobile, landline, landline_plain, service, american, international, lettered, local, short),
)
