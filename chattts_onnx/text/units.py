"""Units and currencies: how each is written and spoken."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """``zh`` follows the number; ``en`` is (one, many)."""

    zh: str
    one: str
    many: str


def _unit(zh: str, one: str, many: str | None = None) -> Unit:
    return Unit(zh, one, many if many is not None else f"{one}s")


UNITS: dict[str, Unit] = {
    "km": _unit("公里", "kilometer"),
    "m": _unit("米", "meter"),
    "cm": _unit("厘米", "centimeter"),
    "mm": _unit("毫米", "millimeter"),
    "μm": _unit("微米", "micrometer"),
    "nm": _unit("纳米", "nanometer"),
    "kg": _unit("公斤", "kilogram"),
    "g": _unit("克", "gram"),
    "mg": _unit("毫克", "milligram"),
    "t": _unit("吨", "ton"),
    "L": _unit("升", "liter"),
    "ml": _unit("毫升", "milliliter"),
    "mL": _unit("毫升", "milliliter"),
    "km/h": _unit("公里每小时", "kilometer per hour", "kilometers per hour"),
    "m/s": _unit("米每秒", "meter per second", "meters per second"),
    "mph": _unit("英里每小时", "mile per hour", "miles per hour"),
    "m/s²": _unit("米每二次方秒", "meter per second squared", "meters per second squared"),
    "m²": _unit("平方米", "square meter"),
    "m³": _unit("立方米", "cubic meter"),
    "km²": _unit("平方公里", "square kilometer"),
    "cm²": _unit("平方厘米", "square centimeter"),
    "cm³": _unit("立方厘米", "cubic centimeter"),
    "kB": _unit("千字节", "kilobyte"),
    "KB": _unit("千字节", "kilobyte"),
    "MB": _unit("兆字节", "megabyte"),
    "GB": _unit("吉字节", "gigabyte"),
    "TB": _unit("太字节", "terabyte"),
    "Kb": _unit("千比特", "kilobit"),
    "Mb": _unit("兆比特", "megabit"),
    "Gb": _unit("吉比特", "gigabit"),
    "A": _unit("安", "amp"),
    "kbps": _unit("千比特每秒", "kilobit per second", "kilobits per second"),
    "Mbps": _unit("兆比特每秒", "megabit per second", "megabits per second"),
    "Gbps": _unit("吉比特每秒", "gigabit per second", "gigabits per second"),
    "Hz": _unit("赫兹", "hertz", "hertz"),
    "kHz": _unit("千赫兹", "kilohertz", "kilohertz"),
    "MHz": _unit("兆赫兹", "megahertz", "megahertz"),
    "GHz": _unit("吉赫兹", "gigahertz", "gigahertz"),
    "W": _unit("瓦", "watt"),
    "kW": _unit("千瓦", "kilowatt"),
    "MW": _unit("兆瓦", "megawatt"),
    "kWh": _unit("千瓦时", "kilowatt hour"),
    "V": _unit("伏", "volt"),
    "kV": _unit("千伏", "kilovolt"),
    "mA": _unit("毫安", "milliamp"),
    "mAh": _unit("毫安时", "milliamp hour"),
    "Pa": _unit("帕", "pascal"),
    "hPa": _unit("百帕", "hectopascal"),
    "kPa": _unit("千帕", "kilopascal"),
    "MPa": _unit("兆帕", "megapascal"),
    "kJ": _unit("千焦", "kilojoule"),
    "Wh": _unit("瓦时", "watt hour"),
    "ppm": _unit("百万分率", "part per million", "parts per million"),
    "Ω": _unit("欧姆", "ohm"),
    "kcal": _unit("千卡", "kilocalorie"),
    "cal": _unit("卡", "calorie"),
    "dB": _unit("分贝", "decibel"),
    "rpm": _unit("转每分钟", "R P M", "R P M"),
    "fps": _unit("帧每秒", "frame per second", "frames per second"),
    "ms": _unit("毫秒", "millisecond"),
    "s": _unit("秒", "second"),
    "min": _unit("分钟", "minute"),
    "h": _unit("小时", "hour"),
    "hr": _unit("小时", "hour"),
    "hrs": _unit("小时", "hour"),
    "tbsp": _unit("汤匙", "tablespoon"),
    "tsp": _unit("茶匙", "teaspoon"),
    "ft": _unit("英尺", "foot", "feet"),
    "lb": _unit("磅", "pound"),
    "lbs": _unit("磅", "pound"),
    "oz": _unit("盎司", "ounce"),
    "°C": _unit("摄氏度", "degree Celsius", "degrees Celsius"),
    "°F": _unit("华氏度", "degree Fahrenheit", "degrees Fahrenheit"),
    "°": _unit("度", "degree"),
}
# Written forms of an exponent, and micro sign beside Greek mu.
_ALIASES = {"^2": "²", "^3": "³", "µ": "μ"}
UNIT = (
    "(?:"
    + "|".join(
        re.escape(name).replace("²", "(?:²|\\^2)").replace("³", "(?:³|\\^3)").replace("μ", "[μµ]")
        for name in sorted(UNITS, key=lambda name: -len(name))
    )
    + r")(?![A-Za-z0-9²³^]|/[A-Za-z])"
)


def find_unit(written: str) -> Unit:
    """The unit of a match of :data:`UNIT`."""
    for alias, name in _ALIASES.items():
        written = written.replace(alias, name)
    return UNITS[written]


@dataclass(frozen=True)
class Currency:
    """``zh`` name, English (one, many), and the hundredth part in both."""

    zh: str
    one: str
    many: str
    cent_zh: str = ""
    cent: str = ""
    cents: str = ""


_YUAN = Currency("元", "yuan", "yuan")
_DOLLAR = Currency("美元", "dollar", "dollars", "美分", "cent", "cents")
_EURO = Currency("欧元", "euro", "euros", "欧分", "cent", "cents")
_POUND = Currency("英镑", "pound", "pounds", "便士", "penny", "pence")
CURRENCIES: dict[str, Currency] = {
    "￥": _YUAN,
    "¥": _YUAN,
    "RMB": _YUAN,
    "CNY": _YUAN,
    "$": _DOLLAR,
    "US$": _DOLLAR,
    "USD": _DOLLAR,
    "HK$": Currency("港元", "Hong Kong dollar", "Hong Kong dollars", "港仙", "cent", "cents"),
    "HKD": Currency("港元", "Hong Kong dollar", "Hong Kong dollars", "港仙", "cent", "cents"),
    "€": _EURO,
    "EUR": _EURO,
    "£": _POUND,
    "GBP": _POUND,
    "JPY": Currency("日元", "yen", "yen"),
    "₩": Currency("韩元", "won", "won"),
    "₹": Currency("卢比", "rupee", "rupees"),
    "₽": Currency("卢布", "ruble", "rubles"),
    "฿": Currency("泰铢", "baht", "baht"),
    "₿": Currency("比特币", "bitcoin", "bitcoins"),
}
CURRENCY = "(?:" + "|".join(re.escape(n) for n in sorted(CURRENCIES, key=lambda n: -len(n))) + ")"
YUAN = _YUAN

SCALES_EN = {
    "k": "thousand",
    "K": "thousand",
    "m": "million",
    "M": "million",
    "mn": "million",
    "b": "billion",
    "B": "billion",
    "bn": "billion",
    "thousand": "thousand",
    "million": "million",
    "billion": "billion",
    "trillion": "trillion",
}
SCALES_ZH = {"thousand": "千", "million": "百万", "billion": "十亿", "trillion": "万亿"}
