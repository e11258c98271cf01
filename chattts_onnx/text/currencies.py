"""Currencies: how each is written and spoken."""

from __future__ import annotations

import re
from dataclasses import dataclass


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
    "C$": Currency("加元", "Canadian dollar", "Canadian dollars", "加分", "cent", "cents"),
    "A$": Currency("澳元", "Australian dollar", "Australian dollars", "澳分", "cent", "cents"),
    "S$": Currency("新加坡元", "Singapore dollar", "Singapore dollars", "分", "cent", "cents"),
    "NT$": Currency("新台币", "Taiwan dollar", "Taiwan dollars"),
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
