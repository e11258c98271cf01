"""Numbers that are names: 985高校, 996, 119, 波音747, 端口8080, 2023-24财年, 京A·12345."""

from __future__ import annotations

import re
from functools import cache

from ..core import chinese, english
from ..core.context import Place, Reader, unit_follows
from ..core.tables import rows
from .base import Rule, rule

_JOINED = r"(?:[、,，/和与及或]|以及)"
_LOOK = 24
# After a number that is one of a list: 985、211高校, 110、119、120.
_LIST_AFTER = re.compile(rf"\s?{_JOINED}\s?([0-9]{{2,5}})(?![0-9])")
_LIST_BEFORE = re.compile(rf"(?<![0-9.])([0-9]{{2,5}})\s?{_JOINED}\s?$")


@cache
def _rows() -> tuple[tuple[str, re.Pattern[str], re.Pattern[str], re.Pattern[str]], ...]:
    """How a row's numbers are read, the numbers, and what may stand before or after them."""
    found, never = [], r"(?!)"
    for how, numbers, before, after in rows("names"):
        either = numbers if "[" in numbers else f"(?:{numbers.replace(',', '|')})"
        left = re.compile(never if before == "-" else f"(?:{before})\\Z")
        right = re.compile(never if after == "-" else after)
        found.append((how, re.compile(either), left, right))
    return tuple(found)


def _named(number: str, before: str, after: str) -> str | None:
    """How the number is read where it is a name at all; letters end only a model's."""
    lettered = after[:1].isascii() and after[:1].isalpha()
    for how, numbers, left, right in _rows():
        if lettered and how != "model":
            continue
        if numbers.fullmatch(number) and (left.search(before) or right.match(after)):
            return how
    return None


def _by_list(number: str, before: str, after: str) -> str | None:
    """As :func:`_named`, over the neighbours of a list."""
    own = [row for row in _rows() if row[1].fullmatch(number)]
    position = 0
    while (match := _LIST_AFTER.match(after, position)) and own:
        other = [row for row in own if row[1].fullmatch(match[1])]
        if any(row[3].match(after, match.end()) for row in other):
            return other[0][0]
        position = match.end()
    found = _LIST_BEFORE.search(before)
    if found and own:
        same = [row for row in own if row[1].fullmatch(found[1])]
        if any(row[2].search(before[: found.start()]) for row in same):
            return same[0][0]
        # 110、119、120: three numbers of one row are its names.
        if same and "," in same[0][1].pattern.replace("|", ","):
            return same[0][0] if _three(same[0][1], before, number, after) else None
    elif own and _three(own[0][1], before, number, after):
        return own[0][0]
    return None


def _three(numbers: re.Pattern[str], before: str, number: str, after: str) -> bool:
    left, right = _run(before, -1), _run(after, 1)
    near = [*re.findall("[0-9]+", left), number, *re.findall("[0-9]+", right)]
    return len(near) > 2 and all(map(numbers.fullmatch, near)) and "[" not in numbers.pattern


def _run(text: str, side: int) -> str:
    """The part of a list on one side."""
    pattern = rf"(?:[0-9]+\s?{_JOINED}\s?)+\Z" if side < 0 else rf"(?:\s?{_JOINED}\s?[0-9]+)+"
    match = re.search(pattern, text) if side < 0 else re.match(pattern, text)
    return match.group() if match else ""


@rule("name", r"(?<![0-9A-Za-z.,$¥￥€£+*×=-])(?P<n>[0-9]{2,5})(?![0-9a-z%°℃]|[.,][0-9])")
def named_number(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """985、211高校, 996工作制, 119救火, 波音747, 端口8080."""
    if place.options.numbers != "auto":
        return None
    before, after = place.before(match.start(), _LOOK), place.after(match.end(), _LOOK)
    number = match["n"]
    alone = not before.strip() and not after.strip("。.!！?？ ")
    how = _named(number, before, after)
    if how is None and after[:1].isascii() and after[:1].isalpha():
        return None
    if how is None:
        how = _by_list(number, before, after)
    if how is None and not (alone and number in ("520", "996", "985", "618", "1314")):
        return None
    if how in (None, "model") or not unit_follows(after) or _rows_after(number, after):
        if how == "phone":
            return reader.phone(number)
        return _model(number, reader) if how == "model" else reader.digit_by_digit(number)
    return None


def _model(number: str, reader: Reader) -> str:
    """A model's number: 七四七, seven forty seven; a longer one digit by digit."""
    if reader.zh or len(number) > 3:
        return reader.digit_by_digit(number)
    return english.in_parts(number)


def _rows_after(number: str, after: str) -> bool:
    return any(row[1].fullmatch(number) and row[3].match(after) for row in _rows())


_EVENTS = (
    "(?:晚会|事件|事变|地震|大促|运动|惨案|购物节|起义|讲话|恐怖袭击|袭击|防空|特大|大地震|空难|政变|枪击|"
    "促销|暴恐|协议|会议|公祭日|纪念日|表白)"
)


@rule(
    "event",
    rf"(?<![0-9.])(?P<m>1[0-2]|[1-9])[·.・/](?P<d>[0-9]{{1,2}})(?=\s?(?:[\u4e00-\u9fff]{{1,3}})?{_EVENTS})",
)
def event(match: re.Match[str], place: Place, reader: Reader) -> str:
    """3/15晚会, 9·11事件, 6.18大促: the date of an event is its name."""
    return reader.digit_by_digit(match["m"] + match["d"])


@rule(
    "decade",
    r"(?<![0-9.])(?P<y>(?:[05-9]0|[6-9]5)后?)(?P<more>(?:[、/和与及,，]\s?(?:[05-9]0|[6-9]5)后?)+)"
    r"(?=后|(?<=后))",
)
def generations(match: re.Match[str], place: Place, reader: Reader) -> str:
    """80、90后, 80后/90后."""
    return re.sub(
        "[0-9]{2}|[/,，]",
        lambda m: chinese.digits(m.group()) if m.group().isdigit() else "、",
        match.group(),
    )


_SEASON = (
    "财年|赛季|学年|年度|雪季|榨季|冬|[Ss]eason|fiscal|financial year|school year|academic year|"
    "[Ff]lu"
)


@rule(
    "year range",
    r"(?:(?<![0-9A-Za-z.,])|(?<=FY))(?P<y>(?:19|20)[0-9]{2})\s?[-–/](?P<z>[0-9]{2})(?![0-9]|[-/.:,][0-9])",
)
def season(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """2023-24财年, the 2023/24 season, and any two years that follow each other."""
    following = (int(match["y"]) + 1) % 100 == int(match["z"])
    named = re.match(rf"\s?(?:{_SEASON})", place.after(match.end(), 16))
    if not (named or (following and int(match["z"]) > 12)):
        return None
    if reader.zh:
        return f"{chinese.year(match['y'])}到{chinese.digits(match['z'])}"
    last = english.digits(match["z"]) if match["z"] < "10" else english.cardinal(match["z"])
    return f"{english.year(match['y'])} to {last}"


@rule(
    "plate",
    r"(?<=[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使][A-Z])"
    r"[·•‧.\s-]?(?=[A-HJ-NP-Z0-9]{5,6}(?![A-Za-z0-9]))(?P<n>[A-Z0-9]*[0-9][A-Z0-9]*)",
)
def plate(match: re.Match[str], place: Place, reader: Reader) -> str:
    """京A·12345, 粤B·D12345."""
    parts = [chinese.digits(c) if c.isdigit() else f" {c} " for c in match["n"]]
    return re.sub(" +", " ", "".join(parts))


@rule(
    "address",
    r"(?<![0-9A-Za-z.,-])(?P<n>[0-9]{1,5})\s(?P<d>[NSEW]|N[EW]|S[EW])\.?\s(?=(?:[0-9]{1,3}(?:st|nd|rd|th)|[A-Z][a-z]+)\s?(?:[A-Z][a-z]+\s)?(?:St|Ave|Blvd|Rd|Dr|Ln|Pl|Ct|Way|Street|Avenue|Boulevard|Road|Drive|Lane|Place|Court|Pkwy|Parkway|Hwy|Highway|Broadway)\b)",
)
def street(match: re.Match[str], place: Place, reader: Reader) -> str:
    """42 W 5th Ave.: the letter is a direction."""
    names = {"N": "North", "S": "South", "E": "East", "W": "West"}
    direction = "".join(names[c] if i == 0 else names[c].lower() for i, c in enumerate(match["d"]))
    return f"{reader.number(match['n'])} {direction} "


@rule("name", r"(?<![0-9A-Za-z.,-])'?(?P<n>[2-9][0-9])ers(?![A-Za-z])")
def team(match: re.Match[str], place: Place, reader: Reader) -> str:
    """49ers, 76ers."""
    spoken = english.cardinal(match["n"])
    return spoken + ("rs" if spoken.endswith("e") else "ers")


NAMES: tuple[Rule, ...] = (generations, team, named_number, event, season, plate, street)
