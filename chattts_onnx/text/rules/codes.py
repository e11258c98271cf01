"""Identifiers: room and order numbers, versions, IP addresses, letters with digits."""

from __future__ import annotations

import re

from ..core import chinese, english
from ..core.context import LONG, Place, Reader, unit_follows
from .base import END, START, Rule, rule

_NAMED_BEFORE = re.compile(
    r"(?:编号|房间号|房间|房号|房|室号|单号|订单|订单号|验证码|密码|口令|代码|代号|邮编|邮政编码|编码|卡号|学号|工号|"
    r"车牌|车牌号|账号|帐号|尾号|门牌|门牌号|身份证|身份证号|身份证号码|QQ|QQ群|[0-9]楼|[0-9]层|航班|车次|次列车|股票|股票代码|座|单元|栋|幢|"
    r"基金代码|序列号|流水号|取件码|兑换码|邀请码|提货码|货号|型号|条形码|机号|工单|快递|"
    r"\b(?:codes?|pin|password|passcode|zip|order|room|flight|extension|ext|serial|account|"
    r"card|ticket|route|suite|apartment|apt|channel|gate|model|badge|zip code|reference|"
    r"agent|bus|id))"
    r"(?:号码|号)?(?:\s[A-Z](?:\s?[A-Z]){0,2})?[\s:：#]{0,3}(?:是|为|number|no\.?|is|are)?[\s:：#“\"']{0,3}$",
    re.IGNORECASE,
)
_AMOUNT_BEFORE = re.compile(
    r"(?:共|约|超过|达|达到|等于|总数|总计|合计|数量|金额|答案|结果|人口|total|about|equals|over|nearly)"
    r"\s?(?:是|为|有|of|is)?\s?$"
)
_LAST_DIGITS = re.compile(r"(?:后[三四五六]位|前[三四五六]位|last four(?: digits)?)[^0-9]{0,3}$")


def _part(reader: Reader, written: str) -> str:
    """One part of a version: a number, digit by digit from three digits or a leading zero on."""
    if len(written) > 2 or (len(written) > 1 and written.startswith("0")):
        return reader.digit_by_digit(written)
    return reader.integer(written)


_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})"


@rule(
    "IP address",
    START + rf"(?:{_BYTE}\.){{3}}{_BYTE}(?::(?P<port>[0-9]{{2,5}}))?(?![0-9])(?!\.[0-9])",
)
def address(match: re.Match[str], place: Place, reader: Reader) -> str:
    """192.168.1.1, with a port."""
    spoken = reader.digit_by_digit(match.group().partition(":")[0])
    if not match["port"]:
        return spoken
    return spoken + reader.say("端口", " port ") + reader.digit_by_digit(match["port"])


@rule("version", r"(?<![A-Za-z0-9.])(?P<v>[vV]\.?\s?)?(?P<n>[0-9]+(?:\.[0-9]+){2,})(?![0-9])")
def version(match: re.Match[str], place: Place, reader: Reader) -> str:
    """1.10.2, v1.2.3."""
    parts = [_part(reader, part) for part in match["n"].split(".")]
    return ("V " if match["v"] else "") + reader.say("点", " point ").join(parts)


@rule("version", r"(?<![A-Za-z0-9.])[vV](?P<n>[0-9]+(?:\.[0-9]+)?)(?![0-9A-Za-z])")
def short_version(match: re.Match[str], place: Place, reader: Reader) -> str:
    """v2, V3.5."""
    return "V " + reader.number(match["n"])


@rule("grouped digits", START + r"[0-9]{4}(?:[- ][0-9]{4}){2,}(?:[- ][0-9]{1,4})?(?![0-9])")
def grouped(match: re.Match[str], place: Place, reader: Reader) -> str:
    """6222 0212 3456 7890."""
    groups = re.split("[- ]", match.group())
    return reader.say("，", ", ").join(reader.digit_by_digit(group) for group in groups)


@rule("grouped digits", START + r"[0-9]{3}(?:[- ][0-9]{3}){2,3}(?![0-9-])(?! [0-9])")
def grouped_threes(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """Meeting ID 123 456 789."""
    before = place.before(match.start(), 24)
    if not (_NAMED_BEFORE.search(before) or _MEETING_BEFORE.search(before)):
        return None
    groups = re.split("[- ]", match.group())
    return reader.say("，", ", ").join(reader.digit_by_digit(group) for group in groups)


_MEETING_BEFORE = re.compile(r"(?:会议|腾讯会议|入会|ID|[Mm]eeting)[^0-9]{0,6}$")


@rule("masked", START + r"(?P<a>[0-9]{2,6})(?P<m>[*＊]{2,12})(?P<b>[0-9]{2,6})" + END)
def masked(match: re.Match[str], place: Place, reader: Reader) -> str:
    """138****1234: a phone's where it has the parts of one."""
    stars = reader.number(str(len(match["m"])), "个") + reader.say("个星号", " stars")
    phone = re.fullmatch(r"1[3-9][0-9][*＊]{4}[0-9]{4}", match.group())
    speak = reader.phone if phone else reader.digit_by_digit
    return reader.say("，", ", ").join((speak(match["a"]), stars, speak(match["b"])))


_STANDARD_BEFORE = re.compile(
    r"\b(?:GB(?:/T)?|ISO|IEC|ISO/IEC|IEEE|DIN|EN|ANSI|JIS|YY(?:/T)?|HJ)[\s-]?$"
)


@rule(
    "code", START + r"(?P<n>[0-9]{3,6})(?P<part>[.-][0-9]{1,2})?[-:：—](?P<y>[12][0-9]{3})(?![0-9])"
)
def standard(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """GB/T 19001-2016, ISO 9001:2015: number and year of a standard."""
    if not _STANDARD_BEFORE.search(place.before(match.start())):
        return None
    spoken = reader.digit_by_digit(match["n"])
    if match["part"]:
        spoken += reader.say("杠", " dash ") + reader.digit_by_digit(match["part"][1:])
    return spoken + reader.say("，", ", ") + reader.digit_by_digit(match["y"])


@rule("code", START + r"(?P<n>[0-9]+)(?P<rest>(?:-[0-9]+){2,})" + END)
def dashed(match: re.Match[str], place: Place, reader: Reader) -> str:
    """3-2-501, 978-7-111: identifiers in parts."""
    groups = match.group().split("-")
    return reader.say("杠", " dash ").join(reader.digit_by_digit(group) for group in groups)


@rule("code", r"(?<![0-9.,A-Za-z])(?P<n>[0-9]{2,}(?:-[0-9]+)*)(?![0-9])(?![.,:][0-9])")
def named(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """房间号1203, code 4821, order 100234; room 5 and 12号 stay numbers."""
    before = place.before(match.start(), 24)
    written = match["n"]
    if not (_NAMED_BEFORE.search(before) or _LAST_DIGITS.search(before)):
        return None
    if len(written) == 2 and not written.startswith("0"):
        return None
    after = place.after(match.end()).lstrip()
    if chinese.is_measure(after) and not after.startswith(("层", "封", "门", "室")):
        return None
    return reader.say("杠", " dash ").join(reader.code(part) for part in written.split("-"))


@rule(
    "code",
    r"(?<![0-9.,A-Za-z])(?P<n>[0-9]{3,})(?=(?:号|次|路|航班)?(?:房间|列车|次列车|航班|室|公交|会议室|教室|办公室|病房|包厢|号房))",
)
def room(match: re.Match[str], place: Place, reader: Reader) -> str:
    """1203室, 302房间, 1234次列车, 628路公交."""
    return reader.code(match["n"])


@rule("code", r"(?<=[A-Za-z])(?P<n>[0-9]+)(?![0-9])(?![.,][0-9])")
def after_letters(match: re.Match[str], place: Place, reader: Reader) -> str:
    """G1234, H2O, MP3, RTX4090: up to two digits are a number, more are read one by one."""
    written = match["n"]
    if len(written) <= 2 and not (len(written) > 1 and written.startswith("0")):
        return reader.number(written)
    return reader.code(written)


@rule("code", r"(?<=[A-Za-z][-_])(?P<n>[0-9]{3,})(?![0-9])(?![.,][0-9])")
def after_dash(match: re.Match[str], place: Place, reader: Reader) -> str:
    """i7-9700K, ISO-9001."""
    return reader.code(match["n"])


@rule(
    "video",
    START + r"(?P<n>240|360|480|540|720|1080|1440|2160|4320)(?=[pi](?:[0-9]{2})?(?![A-Za-z0-9]))",
)
def lines_of_video(match: re.Match[str], place: Place, reader: Reader) -> str:
    """1080p: a resolution is read in its parts."""
    written = match["n"]
    return reader.code(written) if reader.zh else english.in_parts(written)


@rule("code", START + r"(?P<n>0[0-9]+)" + END)
def zeros(match: re.Match[str], place: Place, reader: Reader) -> str:
    """007: no quantity begins with 0."""
    return reader.digit_by_digit(match["n"])


@rule("code", START + rf"(?P<n>[0-9]{{{LONG},}})" + END)
def long(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """12345678: an identifier, unless it is round or something is counted."""
    written = match["n"]
    counted = (
        written.endswith("000")
        or unit_follows(place.after(match.end()))
        or bool(_AMOUNT_BEFORE.search(place.before(match.start())))
    )
    if counted and len(written) <= chinese.MAX_DIGITS:
        return None
    return reader.code(written)


CODES: tuple[Rule, ...] = (
    *(address, version, short_version, grouped, grouped_threes, masked, dashed, named, room),
    *(lines_of_video, after_letters, after_dash, zeros, long),
)
