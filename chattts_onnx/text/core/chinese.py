"""Numbers in Chinese words."""

from __future__ import annotations

import re

DIGITS = dict(zip("0123456789", "零一二三四五六七八九", strict=True))
_PLACES = ("", "十", "百", "千")
_GROUPS = ("", "万", "亿", "万亿")
# Longer than this no group name is left; such strings are identifiers anyway.
MAX_DIGITS = 16

# Before these a bare 2 is 两 (两个), else 二 (二月).
MEASURES = frozenset(
    "个只位天年次块米本张条件台辆座家间层人名倍种场顿杯瓶碗盒包袋箱套双对份部架艘匹头株棵颗粒片把"
    "支根枚首句段篇页行遍趟岁元角吨克升里尺寸亩万亿千秒周步项口道所封门节届幅圈滴群排组串扇枝朵"
    "点分下国地侧端边岸旁样类批起桩票笔幢栋卷册集顶身副盆勺管堆捆房室户拨股盏床声眼拳招局盘回番面季波锅壶针丸者"
)
MEASURE_WORDS = (
    "公里", "公斤", "公分", "公顷", "公升", "小时", "分钟", "毫", "厘米", "微", "纳", "平方",
    "立方", "美元", "欧元", "英镑", "日元", "港元", "港币", "英里", "英尺", "英寸", "加仑", "星期",
    "世纪", "度电", "百", "晚", "夜", "成", "轮", "桌", "斤", "瓦", "伏", "兆", "千", "磅", "盎司",
)  # fmt: skip
# A word that begins with one of these is no measure although its first character is.
_NOT_MEASURE = re.compile(
    "年级|年生|天津|人称|人转|里面|个性|家公司|次元|次方|次函数|次世代|次曲线|次型|次项|次开发|次创业|元[一二12]次|元方程|"
    "元函数|元论|元结构|项式|倍体|本线|本院校|本大学|道贩子|重奏|分之|分法|分音符|地主|国语|类卡|面角|组氨|房东|封信号|"
    "点[0-9](?![0-9])|点[0-9]{3}|批次号|边形|端口|身份|侧翻"
)


def digits(number: str, one: str = "一") -> str:
    """Digit by digit: 2024 -> 二零二四; anything but a digit is left out."""
    return "".join(one if d == "1" else DIGITS[d] for d in number if d in DIGITS)


def cardinal(number: str) -> str:
    """An integer: 1001 -> 一千零一; digit by digit from 17 digits on."""
    number = number.lstrip("0") or "0"
    if len(number) > MAX_DIGITS:
        return digits(number)
    if number == "0":
        return "零"
    groups = []
    while number:
        groups.append(number[-4:])
        number = number[:-4]
    spoken, gap = "", False
    for index in range(len(groups) - 1, -1, -1):
        group = groups[index]
        value = int(group)
        if value == 0:
            gap = bool(spoken)
            continue
        if spoken and (gap or value < 1000):
            spoken += "零"
        spoken += _section(value, leading=not spoken) + _group_name(index, groups)
        gap = False
    return spoken


def _group_name(index: int, groups: list[str]) -> str:
    """一万亿 is 万 of 亿: the 亿 is spoken once, at the end of its part."""
    if index == 3 and int(groups[2]):
        return "万"
    return _GROUPS[index]


def _section(value: int, leading: bool) -> str:
    """1 to 9999; a ``leading`` 2 of the thousands, or alone before 万, is 两."""
    text, zero = "", False
    for place in (3, 2, 1, 0):
        digit = value // 10**place % 10
        if digit == 0:
            zero = bool(text)
            continue
        if zero:
            text, zero = text + "零", False
        if place == 1 and digit == 1 and not text and leading:
            text += "十"
        elif digit == 2 and place == 3 and leading:
            text += "两千"
        else:
            text += DIGITS[str(digit)] + _PLACES[place]
    return text


def number(text: str) -> str:
    """An integer or decimal without sign or separators: 2000 -> 两千, 3.14 -> 三点一四."""
    whole, _, fraction = text.partition(".")
    spoken = _liang(cardinal(whole or "0"))
    return f"{spoken}点{digits(fraction)}" if fraction else spoken


def _liang(spoken: str) -> str:
    """二万 and 二亿 at the front are 两万 and 两亿."""
    if spoken[:2] in ("二万", "二亿"):
        return "两" + spoken[1:]
    return spoken


def counted(text: str, following: str) -> str:
    """A number before ``following`` text: 2 个 -> 两个, 2 月 -> 二月."""
    if text == "2" and is_measure(following):
        return "两"
    return number(text)


def is_measure(following: str) -> bool:
    """Whether ``following`` begins with a measure word."""
    word = following.lstrip(" ")
    if not word or _NOT_MEASURE.match(word):
        return False
    return word[0] in MEASURES or word.startswith(MEASURE_WORDS)


def year(text: str) -> str:
    """A year: 1999 -> 一九九九."""
    return digits(text)


def fraction(numerator: str, denominator: str) -> str:
    """1/3 -> 三分之一."""
    return f"{number(denominator)}分之{number(numerator)}"


def clock(hour: int, minute: int, second: int | None, part: str = "") -> str:
    """8:05 -> 八点零五分; ``part`` such as 下午 comes first."""
    spoken = part + counted(str(hour), "点" if hour != 2 else "个") + "点"
    if minute or second:
        spoken += ("零" if 0 < minute < 10 else "") + cardinal(str(minute)) + "分"
    if second is not None:
        spoken += ("零" if 0 < second < 10 else "") + cardinal(str(second)) + "秒"
    return spoken


def date(year_: str | None, month: int | None, day: int | None) -> str:
    """Parts of a date that are given: 二零二四年十月一日."""
    spoken = f"{year(year_)}年" if year_ else ""
    if month:
        spoken += cardinal(str(month)) + "月"
    if day:
        spoken += cardinal(str(day)) + "日"
    return spoken
