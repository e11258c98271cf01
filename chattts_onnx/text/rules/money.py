"""Sums of money with a currency sign or code."""

from __future__ import annotations

import re
from dataclasses import replace

from ..core.context import Place, Reader
from ..core.currencies import CURRENCIES, CURRENCY, SCALES_EN, SCALES_ZH, YUAN, Currency
from .base import ARTICLE, NUMBER, TO, Rule, rule

_SCALE = (
    r"(?:\s?(?P<scale>万亿|亿|千万|百万|万|千|百|(?:thousand|million|billion|trillion|bn|mn|[kKmMbB])"
    r"(?![A-Za-z0-9])))?"
)
_LAND = r"(?<![A-Za-z0-9])"
_SIGN = r"(?P<sign>[-+](?=[^\s0-9]))?"
# 元 after a sum that had its sign already.
_NAMED = r"(?:\s?(?:元|圆|块钱|人民币|美元|欧元|英镑|yuan|dollars?|RMB|USD)(?![a-z]))?"


@rule(
    "money",
    rf"{_LAND}{_SIGN}(?P<c>{CURRENCY})\s?(?P<a>{NUMBER}){TO}(?:{CURRENCY})?\s?(?P<b>{NUMBER})"
    rf"{_SCALE}{_NAMED}",
)
def span(match: re.Match[str], place: Place, reader: Reader) -> str:
    """$5-$10, ￥100-200, ￥3-5万."""
    currency = CURRENCIES[match["c"]]
    first = reader.number(match["a"], currency.zh)
    last = _amount(reader, match["b"], match["scale"], currency)
    return f"{reader.sign(match['sign'] or '')}{first}{reader.say('到', ' to ')}{last}"


@rule("money", _LAND + _SIGN + f"(?P<c>{CURRENCY})\\s?(?P<s2>-)?(?P<a>{NUMBER})" + _SCALE + _NAMED)
def prefixed(match: re.Match[str], place: Place, reader: Reader) -> str:
    """￥1,234.50, $20 million, -$5, US$3亿."""
    sign = reader.sign(match["sign"] or match["s2"] or "")
    currency = CURRENCIES[match["c"]]
    if not reader.zh and ARTICLE.search(place.before(match.start())):
        currency = replace(currency, many=currency.one)
    return sign + _amount(reader, match["a"], match["scale"], currency)


@rule(
    "money",
    rf"(?<![A-Za-z0-9.,])(?P<sign>(?<![0-9A-Za-z])[-+])?(?P<a>{NUMBER}){_SCALE}"
    r"\s?(?P<c>USD|RMB|CNY|EUR|GBP|HKD|JPY|[$€£￥¥])(?![A-Za-z0-9])",
)
def suffixed(match: re.Match[str], place: Place, reader: Reader) -> str:
    """100 USD, 20€."""
    sign = reader.sign(match["sign"] or "")
    return sign + _amount(reader, match["a"], match["scale"], CURRENCIES[match["c"]])


def _amount(reader: Reader, written: str, scale: str | None, currency: Currency) -> str:
    plain = written.replace(",", "")
    if scale:
        return _scaled(reader, plain, scale, currency)
    whole, _, cents = plain.partition(".")
    if len(cents) == 1:
        cents += "0"
    whole = whole or "0"
    if cents and (len(cents) != 2 or not ((currency.zh == YUAN.zh and reader.zh) or currency.cent)):
        return reader.number(plain) + reader.say("", " ") + _name(reader, currency, plain)
    spoken_cents = _cents(reader, cents, currency) if cents.strip("0") else ""
    if spoken_cents and not whole.strip("0"):
        return spoken_cents.removeprefix("零")
    spoken = (
        reader.number(whole, currency.zh) + reader.say("", " ") + _name(reader, currency, whole)
    )
    return f"{spoken}{reader.say('', ' and ')}{spoken_cents}" if spoken_cents else spoken


def _cents(reader: Reader, cents: str, currency: Currency) -> str:
    value = str(int(cents))
    if not reader.zh:
        return f"{reader.number(value)} {currency.cent if value == '1' else currency.cents}"
    if currency.zh != YUAN.zh:
        return reader.number(value) + currency.cent_zh
    jiao, fen = cents[0], cents[1]
    tenths = reader.number(jiao, "角") + "角" if jiao != "0" else ("零" if fen != "0" else "")
    hundredths = reader.integer(fen) + "分" if fen != "0" else ""
    return tenths + hundredths


def _scaled(reader: Reader, plain: str, scale: str, currency: Currency) -> str:
    english = SCALES_EN.get(scale)
    if reader.zh:
        if scale in "kK":
            return reader.number(f"{float(plain) * 1000:.0f}") + currency.zh
        name = SCALES_ZH[english] if english else scale
        return reader.number(plain, name) + name + currency.zh
    if english is None:
        factors = {"百": "hundred", "千": "thousand", "百万": "million", "万亿": "trillion"}
        if scale in factors:
            english = factors[scale]
        else:
            factor, english = {
                "万": (10, "thousand"),
                "千万": (10, "million"),
                "亿": (100, "million"),
            }[scale]
            plain = f"{float(plain) * factor:g}"
    return f"{reader.number(plain)} {english} {currency.many}"


def _name(reader: Reader, currency: Currency, plain: str) -> str:
    if reader.zh:
        return currency.zh
    return currency.one if plain.lstrip("0") == "1" else currency.many


MONEY: tuple[Rule, ...] = (span, prefixed, suffixed)
