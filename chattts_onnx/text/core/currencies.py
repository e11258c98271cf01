"""Currencies: how each is written and spoken."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .tables import rows


@dataclass(frozen=True)
class Currency:
    """``zh`` name, English (one, many), and the hundredth part in both."""

    zh: str
    one: str
    many: str
    cent_zh: str
    cent: str
    cents: str


CURRENCIES = {
    name: Currency(*("" if word == "-" else word for word in words))
    for names, *words in rows("currencies")
    for name in names.split()
}
CURRENCY = "(?:" + "|".join(re.escape(n) for n in sorted(CURRENCIES, key=lambda n: -len(n))) + ")"
YUAN = CURRENCIES["CNY"]

SCALES_EN = {
    **dict.fromkeys(("k", "K", "thousand"), "thousand"),
    **dict.fromkeys(("m", "M", "mn", "million"), "million"),
    **dict.fromkeys(("b", "B", "bn", "billion"), "billion"),
    "trillion": "trillion",
}
SCALES_ZH = {"thousand": "千", "million": "百万", "billion": "十亿", "trillion": "万亿"}
