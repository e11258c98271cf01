"""Times of day, durations and scores written with a colon."""

from __future__ import annotations

import re

from ..core import chinese, english
from ..core.context import Place, Reader
from .base import START, TO, Rule, rule

_HALF = r"(?P<half>\s?(?:[aApP]\.[mM]\.|(?:am|pm|AM|PM|Am|Pm)(?![A-Za-z])))"
_HALF1 = _HALF.replace("half", "half1")
# The T of 2024-05-27T12:30:00, and the 分 that 8:05分 repeats.
_DATED = rf"(?:(?<=[0-9]T)|{START})"
_MINUTES = r"(?:分(?!钟))?"
_CLOCK = r"(?P<h>[01]?[0-9]|2[0-4])[:：](?P<mi>[0-5][0-9])(?:[:：](?P<s>[0-5][0-9]))?"
_CLOCK2 = r"(?P<h2>[01]?[0-9]|2[0-4])[:：](?P<mi2>[0-5][0-9])"
_STOP = r"(?![0-9])(?![:：.][0-9])"
_RATIO_BEFORE = re.compile(
    r"(?:比分|局分|分数|[局盘节半]场?|比例|比率|比值|按|以|为|成(?![绩功])|比|score|ratio|odds|won|lost|scale)[^0-9]{0,4}$",
    re.IGNORECASE,
)
_WON_AFTER = re.compile(
    r"\s?(?:险胜|横扫|战胜|击败|大胜|力克|淘汰|取胜|获胜|小胜|完胜|胜|领先|落后|战平|逼平|逆转|惜败|负于|不敌|输给|告负|"
    r"绝杀|赢|拿下|打平|扳平)"
)
# A time that something took; at 2:05 and 8:30出发 are times of day.
_TOOK_BEFORE = re.compile(
    r"(?:用了|用时|耗时|历时|费时|花了|花费|跑了|跑出|跑完|跑进|游出|成绩|时长|全长|总长|片长|持续|长达|纪录|记录|净时|"
    r"计时|倒计时|通话|录音|视频长|配速|took|takes|lasted|lasts|duration|runtime|run ?time|"
    r"record|time of|pace|ran|"
    r"finish(?:ed)?|split|clocked|best)"
    r"(?: of| in| was| is|是|为|了|在|约|仅)?[^0-9A-Za-z]{0,3}$",
    re.IGNORECASE,
)
_AFTERNOON = ("上午", "早上", "凌晨", "清晨", "下午", "晚上", "中午", "傍晚", "早晨", "夜里")


def _half(reader: Reader, written: str | None, hour: int, before: str) -> str:
    if not written:
        return ""
    afternoon = written.strip().lower().startswith("p")
    if not reader.zh:
        return "P M" if afternoon else "A M"
    if before.rstrip().endswith(_AFTERNOON):
        return ""
    return ("晚上" if 6 <= hour < 12 else "下午") if afternoon else "上午"


@rule("time range", START + _CLOCK + f"{_HALF1}?" + TO + _CLOCK2 + f"{_HALF}?" + _STOP)
def clock_range(match: re.Match[str], place: Place, reader: Reader) -> str:
    """9:00-18:00, 9:30am-6:30pm."""
    first = int(match["h"]), int(match["mi"]), int(match["s"]) if match["s"] else None
    last = int(match["h2"]), int(match["mi2"]), None
    before = place.before(match.start())
    last_half = _half(reader, match["half"], last[0], before)
    if reader.zh:
        # 3:00-5:00pm: what stands at the end is said of the whole range, and first.
        half = _half(reader, match["half1"], first[0], before) if match["half1"] else last_half
        own = last_half if match["half1"] and last_half != half else ""
        return f"{chinese.clock(*first, half)}到{chinese.clock(*last, own)}"
    half = _half(reader, match["half1"], first[0], before)
    spoken = f"{english.clock(*first, half)} to {english.clock(*last, last_half)}"
    return spoken + _full_stop(match["half"], place, match.end())


@rule(
    "time range",
    START + rf"(?P<h>1[0-2]|0?[1-9]){_HALF1}?{TO}(?P<h2>1[0-2]|0?[1-9]){_HALF}",
)
def hour_range(match: re.Match[str], place: Place, reader: Reader) -> str:
    """9am-5pm, 3-5pm."""
    before = place.before(match.start())
    first, last = int(match["h"]), int(match["h2"])
    last_half = _half(reader, match["half"], last, before)
    half = _half(reader, match["half1"], first, before)
    if reader.zh:
        half = half or last_half
        own = last_half if last_half != half else ""
        return f"{chinese.clock(first, 0, None, half)}到{chinese.clock(last, 0, None, own)}"
    head = f"{english.two_digits(first)} {half}".strip()
    spoken = f"{head} to {english.clock(last, 0, None, last_half)}"
    return spoken + _full_stop(match["half"], place, match.end())


@rule("time", _DATED + _CLOCK + f"{_HALF}?" + _STOP + _MINUTES)
def clock(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """8:30, 15:04:05, 3:30 pm; after words such as 比分 it is a ratio."""
    before = place.before(match.start())
    if not match["half"] and (
        _took(match, place, bool(match["s"]))
        or _RATIO_BEFORE.search(before)
        or _WON_AFTER.match(place.after(match.end()))
    ):
        return None
    hour, minute = int(match["h"]), int(match["mi"])
    second = int(match["s"]) if match["s"] else None
    half = _half(reader, match["half"], hour, before)
    if reader.zh:
        return chinese.clock(hour, minute, second, half)
    return english.clock(hour, minute, second, half) + _full_stop(match["half"], place, match.end())


@rule("time", START + r"(?P<h>1[0-2]|0?[1-9])" + _HALF)
def hour(match: re.Match[str], place: Place, reader: Reader) -> str:
    """3pm, 11 a.m."""
    value = int(match["h"])
    half = _half(reader, match["half"], value, place.before(match.start()))
    if reader.zh:
        return chinese.clock(value, 0, None, half)
    return english.clock(value, 0, None, half) + _full_stop(match["half"], place, match.end())


def _took(match: re.Match[str], place: Place, seconds: bool) -> bool:
    """Whether the words before say that this is how long something took."""
    before = place.before(match.start(), 24)
    ran_in = seconds and re.search(r"\b(?:in|within|under|for)\s$", before)
    return bool(_TOOK_BEFORE.search(before) or ran_in)


@rule(
    "duration",
    START + r"(?P<a>[0-9]{1,3})[:：](?P<b>[0-5][0-9])(?:[:：](?P<c>[0-5][0-9]))?" + _STOP,
)
def duration(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """用了2:05:42, and 90:00 and 100:30:05, which are no times of day."""
    before, after = place.before(match.start()), place.after(match.end())
    if not _took(match, place, bool(match["c"])) and (
        len(match["a"]) == 1 or _RATIO_BEFORE.search(before) or _WON_AFTER.match(after)
    ):
        return None
    names = ("小时", "分", "秒") if match["c"] else ("分", "秒")
    english_names = ("hour", "minute", "second") if match["c"] else ("minute", "second")
    values = [v for v in match.group("a", "b", "c") if v]
    if reader.zh:
        return "".join(
            # 两小时零五分: a missing ten is said.
            ("零" if i and v[0] == "0" and v != "00" else "")
            + chinese.counted(v.lstrip("0") or "0", n)
            + n
            for i, (v, n) in enumerate(zip(values, names, strict=True))
        )
    return " ".join(
        f"{english.cardinal(v)} {n}{'' if int(v) == 1 else 's'}"
        for v, n in zip(values, english_names, strict=True)
    )


@rule(
    "ratio",
    rf"{START}(?P<a>[0-9]+(?:\.[0-9]+)?)\s?[:：]\s?(?P<b>[0-9]+(?:\.[0-9]+)?)"
    r"(?:[:：](?P<c>[0-9]+))?(?![0-9])",
)
def ratio(match: re.Match[str], place: Place, reader: Reader) -> str:
    """3:2, 16:9, 1:1000."""
    parts = [
        reader.integer(v) if "." not in v else reader.number(v)
        for v in match.group("a", "b", "c")
        if v
    ]
    return reader.say("比", " to ").join(parts)


def _full_stop(half: str | None, place: Place, end: int) -> str:
    """The stop of "5 p.m." is the sentence's as well where the text or sentence ends there."""
    if not half or not half.endswith("."):
        return ""
    rest = place.text[end:].lstrip()
    return "." if not rest or rest[0].isupper() else ""


TIMES: tuple[Rule, ...] = (clock_range, clock, hour_range, hour, duration, ratio)
