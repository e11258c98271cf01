"""Dates, years and decades."""

from __future__ import annotations

import re

from ..core import chinese, english
from ..core.context import Place, Reader
from .base import END, START, TO, Rule, rule

_YEAR = r"(?P<y>[12][0-9]{3})"
_MONTH = r"(?P<m>0?[1-9]|1[0-2])"
_DAY = r"(?P<d>0?[1-9]|[12][0-9]|3[01])"
_NAMES = [f"{m[:3]}(?:{m[3:]})?\\.?" if m != "May" else m for m in english.MONTHS]
_NAMES[8] = r"Sep(?:t|tember)?\.?"
_NAME = "(?P<name>" + "|".join(_NAMES) + ")"
_YEARS_BEFORE = re.compile(
    r"\b(?:in|since|of|by|from|until|till|year|during|before|after|circa|around|spring|summer|"
    r"autumn|fall|winter|early|late|mid|and|to|for|than|©|class of|Q[1-4])\s\(?$|[(©]\s?$",
    re.IGNORECASE,
)
_DECADE_BEFORE = re.compile(r"\b(?:the|his|her|their|my|our|your|early|mid|late)[\s-]$", re.I)
_CENTURY = re.compile(r"(?:近|约|共|超过|历时|长达|达|过了|历经|整整|大约|将近|有|隔|等了)$")
_SPAN_AFTER = re.compile(
    r"年(?:的历史|历史|来|间|以来|之久|以上|左右|多|前|后|之前|之后|时间|时光)"
)
_DATED_AFTER = re.compile(r"\s?(?:届|款|版|级|赛季|世界|奥|春|夏|秋|冬|财|中国|欧洲|[Qq][1-4])")


def _date(reader: Reader, *parts: str | None) -> str:
    year, month, day = (part or None for part in parts)
    speak = chinese.date if reader.zh else english.date
    return speak(year, int(month) if month else None, int(day) if day else None)


@rule(
    "date",
    rf"{START}{_YEAR}(?P<sep>[-/.]){_MONTH}(?P=sep){_DAY}(?:T(?=[0-9]{{2}}:)|{END})",
)
def iso(match: re.Match[str], place: Place, reader: Reader) -> str:
    """2024-10-01, 2024/10/1, 2024.10.1."""
    return _date(reader, match["y"], match["m"], match["d"])


@rule("date", START + r"(?P<a>[0-9]{1,2})(?P<sep>[-/.])(?P<b>[0-9]{1,2})(?P=sep)" + _YEAR + END)
def day_or_month_first(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """10/01/2024: month first unless that is no month."""
    month, day = int(match["a"]), int(match["b"])
    if month > 12 or match["sep"] == ".":
        month, day = day, month
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    return _date(reader, match["y"], str(month), str(day))


@rule("date", START + r"(?P<a>[0-9]{1,2})/(?P<b>[0-9]{1,2})/(?P<c>[0-9]{2})" + END)
def short_date(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """7/4/76 in English, 24/1/15 in Chinese."""
    first, second, third = (int(match[n]) for n in "abc")
    if reader.zh:
        if not (1 <= second <= 12 and 1 <= third <= 31 and len(match["a"]) == 2):
            return None
        return f"{chinese.digits(match['a'])}年{chinese.date(None, second, third)}"
    month, day = (first, second) if first <= 12 else (second, first)
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    century = "19" if third >= 50 else "20"
    return english.date(f"{century}{match['c']}", month, day)


@rule("date", START + r"(?P<m>0[1-9]|1[0-2])/(?P<d>0[1-9]|[12][0-9]|3[01])" + END)
def month_and_day(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """05/27: a leading zero makes it a date and no fraction."""
    if "0" not in (match["m"][0], match["d"][0]):
        return None
    return _date(reader, None, match["m"], match["d"])


@rule("date", START + r"(?P<y>[0-9]{4}|[0-9]{2})\s?年\s?" + _MONTH + r"\s?月(?:份)?")
def chinese_month(match: re.Match[str], place: Place, reader: Reader) -> str:
    """2024年10月, 24年10月; the day that may follow is read as a number."""
    end = "月份" if match.group().endswith("份") else "月"
    return f"{chinese.year(match['y'])}年{chinese.cardinal(match['m'])}{end}"


@rule("date", START + _YEAR + r"-" + r"(?P<m>0[1-9]|1[0-2])(?![-0-9])")
def year_month(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """2024-10, in Chinese; in English it stays a range."""
    if not reader.zh or place.after(match.end()).startswith("年"):
        return None
    return _date(reader, match["y"], match["m"], None)


@rule("year range", START + _YEAR + TO + r"(?P<y2>[12][0-9]{3})(?![0-9.,:/])")
def years(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """1990-2000年; without 年 only what look like years of our time."""
    first, last = int(match["y"]), int(match["y2"])
    named = place.after(match.end()).lstrip().startswith("年")
    if not named and not (1800 <= first < last <= 2100):
        return None
    if reader.options.numbers == "cardinal" and not named:
        return None
    if not named and chinese.is_measure(place.after(match.end())):
        return None
    if reader.zh:
        return f"{chinese.year(match['y'])}到{chinese.year(match['y2'])}"
    return f"{english.year(match['y'])} to {english.year(match['y2'])}"


@rule("year", START + r"(?P<y>[0-9]{4})(?=\s?年)")
def chinese_year(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """2024年 digit by digit; 历时1000年 and 2000年历史 are spans of time."""
    round_ = match["y"].endswith("00")
    after = place.after(match.end()).lstrip()
    if match["y"] > "3000" or _CENTURY.search(place.before(match.start())):
        return None
    if match["y"].endswith("000") and _SPAN_AFTER.match(after):
        return None
    if round_ and after.startswith(("年的历史", "年历史", "年来")):
        return None
    return chinese.year(match["y"])


@rule(
    "year",
    START + r"(?P<y>[0-9]{2})(?=年(?:底|初|末|春|夏|秋|冬|级|版|款|上半年|下半年|第)|后(?![来天]))",
)
def short_year(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """24年底, 98级, 95后."""
    if place.after(match.end()).startswith("后") and match["y"][1] not in "05":
        return None
    return chinese.digits(match["y"])


# A number of years, not a year.
_SPAN_BEFORE = re.compile(
    r"(?:[了过满有近约达每这活多第等隔再用花的]|整整|超过|长达|历时|历经|共|工作|结婚|相伴|坚持|耕耘|创办|建校|建厂|成立|距今|未来|过去|"
    r"还有|寿命|年龄|高龄|走过|跨越|风雨|大约|将近|至少|最多|已|已经|经营|生活|服役|使用|质保|保修|民国|康熙|乾隆|雍正|光绪|万历|昭和|平成|刑期|有期徒刑|判处?|判刑|租期|期限)\s?$"
)
_SHORT_SPAN_AFTER = re.compile(
    r"年(?:的?历史|的?时间|的?时光|来(?!到|自)|间|以来|之久|以上|以下|左右|多|前|后|之前|之后|寿命|如一日|内|里|期|华诞|校庆|"
    r"风雨|征程|奋斗|产权|使用权|有期徒刑|工龄|教龄|党龄|的?经验|的?老店|的?婚姻|陈|过去|过期)"
)
_YEAR_AFTER = re.compile(
    r"年(?:出生|生人|生的|毕业|入学|入职|入伍|参军|结婚|春晚|世界杯|欧洲杯|亚洲杯|奥运|亚运|高考|疫情|那年|那会|的老歌|产|买的|考上|考的|"
    r"[的]?(?:时候|冬天|夏天|春天|秋天)|建成|建的|开业|开始|起|至今|以前|股灾|洪水|地震|非典|金融危机|全年|同期|同比|一季度|二季度|三季度|四季度|"
    r"[Qq][1-4]|年报|财报|年度|中报|以后|属|的?车|的?房)"
)


@rule("year", START + r"(?P<y>[0-9]{2})(?=年(?!代))")
def two_digit_year(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """98年的老歌, 20年出生; 工作了98年 and 20年的历史 are spans."""
    before, after = place.before(match.start()), place.after(match.end())
    if place.options.numbers != "auto" or _SPAN_BEFORE.search(before):
        return None
    named = _YEAR_AFTER.match(after) or re.search("(?:生于|出生于)$", before)
    if not named and (match["y"] < "60" or _SHORT_SPAN_AFTER.match(after)):
        return None
    return chinese.digits(match["y"])


@rule("year", START + r"(?P<y>0[0-9])(?=年)")
def zero_year(match: re.Match[str], place: Place, reader: Reader) -> str:
    """08年."""
    return chinese.digits(match["y"])


@rule("decade", r"(?<![A-Za-z0-9])'?(?P<y>[12][0-9]{2}0|[1-9]0)'?s(?![A-Za-z])")
def decade(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """1990s, '90s, in her 30s; 30s alone is a time."""
    written = match["y"]
    named = reader.language == "en" and _DECADE_BEFORE.search(place.before(match.start()))
    if len(written) == 2 and not match.group().startswith("'") and not named:
        return None  # seconds
    if len(written) == 4 and not ("1900" if reader.zh else "1500") <= written < "2100":
        return None  # 2570s and, in Chinese, 1220s: seconds
    if not reader.zh:
        return english.decade(written)
    name = chinese.cardinal(written[-2:]) if written[-2:] != "00" else "零零"
    century = f"{chinese.cardinal(str(int(written[:2]) + 1))}世纪" if len(written) == 4 else ""
    return f"{century}{name}年代"


@rule(
    "date", _NAME + r"\s(?P<d>0?[1-9]|[12][0-9]|3[01])(?:st|nd|rd|th)?(?:,?\s" + _YEAR + r")?" + END
)
def month_day(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """October 1, 2024; Oct. 1st."""
    month = _month(match["name"])
    if match["name"] == "May" and place.after(match.end()).startswith("%"):
        return None
    return english.date(match["y"], month, int(match["d"]))


@rule("date", _NAME + r",?\s(?P<y>[12][0-9]{3})(?![0-9.,:/]?[0-9])")
def month_year(match: re.Match[str], place: Place, reader: Reader) -> str:
    """October 2024."""
    return english.date(match["y"], _month(match["name"]), None)


@rule(
    "date",
    rf"{START}(?P<d>[12][0-9]|3[01]|0?[1-9])(?:st|nd|rd|th)?\s(?:of\s)?{_NAME}"
    rf"(?![a-z])(?:,?\s{_YEAR}(?![0-9]))?",
)
def day_month(match: re.Match[str], place: Place, reader: Reader) -> str:
    """1 October 2024, 1st of October."""
    article = "" if place.before(match.start(), 4).lower() == "the " else "the "
    month = english.MONTHS[_month(match["name"]) - 1]
    spoken = f"{article}{english.ordinal(match['d'])} of {month}"
    return f"{spoken}, {english.year(match['y'])}" if match["y"] else spoken


@rule("year", START + r"(?P<y>1[0-9]{3}|20[0-9]{2})" + END)
def year_in_context(match: re.Match[str], place: Place, reader: Reader) -> str | None:
    """in 1999; 2008奥运会."""
    if reader.options.numbers != "auto":
        return None
    after, before = place.after(match.end()), place.before(match.start(), 16)
    if reader.zh:
        dated = match["y"] >= "1900" and _DATED_AFTER.match(after)
        return chinese.year(match["y"]) if dated else None
    follows_noun = re.match(r"\s[a-z]+s\b", after)
    return english.year(match["y"]) if _YEARS_BEFORE.search(before) and not follows_noun else None


@rule("tens", r"(?<![A-Za-z0-9.,])(?P<n>10{1,3}|1,000)s(?=\sof\s)")
def tens_of(match: re.Match[str], place: Place, reader: Reader) -> str:
    """100s of people: hundreds, and no seconds."""
    return english.cardinal(match["n"].replace(",", "")).removeprefix("one ") + "s"


def _month(name: str) -> int:
    return [m[:3] for m in english.MONTHS].index(name[:3]) + 1


DATES: tuple[Rule, ...] = (
    *(iso, day_or_month_first, short_date, month_and_day, chinese_month, years, year_month),
    *(chinese_year, short_year, two_digit_year, zero_year, tens_of, decade),
    *(month_day, month_year, day_month, year_in_context),
)
