"""Signs whose meaning is in the letters and words beside them: a<b, #键, press *, C++11, A-.

What a number rule reads is not here; :mod:`.punctuation` reads the signs that mean one thing.
"""

from __future__ import annotations

import re

from .language import Spoken
from .report import Report

_LANGUAGES = re.compile(r"(?<![A-Za-z0-9])(?:[CF]#|[A-Za-z]\+\+|[A-Za-z]{2,}\+\+)(?!\+)|(?<=[gc])\+\+")
_DECREMENT = re.compile(r"(?<![A-Za-z0-9-])([a-z])--(?![->A-Za-z0-9])")
_COMPARISONS = {
    "<=": ("小于等于", "less than or equal to"),
    ">=": ("大于等于", "greater than or equal to"),
    "!=": ("不等于", "not equal to"),
    "==": ("等于", "equals"),
    "<": ("小于", "less than"),
    ">": ("大于", "greater than"),
    "->": ("到", "to"),
    "=>": ("到", "to"),
    "<-": ("来自", "from"),
}
_COMPARISON = re.compile(
    r"(?<=[\w)\]%}°])(?P<gap>\s?)(?P<op><=|>=|!=|==|[-=]>|<-|<(?![<|/!?])|(?<![->=])>(?!>))(?=\s?[\w(\[{\"'-])"
)
_HASH_KEY = re.compile(
    r"(?:(?<=按)|(?<=输入)|(?<=输)|(?<=拨)|(?<=键入)|(?<=加)|(?<=以)|(?<=用)|(?<=是)|(?<=的))\s?[#＃*＊](?=\s?(?:[键号，。,.；;]|结束|结尾|确认|返回|重|退出|开头|\Z))"
    r"|[#＃*＊](?=\s?(?:号?键|号))"
)
_TOPIC = re.compile(r"[#＃]([^#＃\n]{1,32})[#＃]")
_HASHTAG = re.compile(r"(?<![A-Za-z0-9&#])#(?=[A-Za-z][A-Za-z_]+)")
_LONE = re.compile(r"(?<![^\s(（\"'“])[#*](?![^\s)）.,!?;:，。！？；：\"'”])")
_PHONE = re.compile(r"press|dial|\bkey|menu|repeat|[按拨]", re.IGNORECASE)
_GRADE = re.compile(
    r"(?<![A-Za-z0-9-])([A-D])[-−](?=(?:\s(?![A-Z0-9-])|[，。,.!?！？；;、)）]|级|等|档|评|的|以上|\Z))"
)
_MINUS = re.compile(rf"(?<![A-Za-z0-9])([a-z])(\s?)[-−]\2(?=[a-z0-9](?![A-Za-z]))")
_EQUATION = re.compile(r"[=＝+×÷*/^<>≤≥≈]")


def name_before_numbers(text: str, language: Spoken, report: Report) -> str:
    """``text`` with C++, C#, i-- and x - y in words, before a number rule takes their signs."""
    if "+" in text or "#" in text:
        text = _LANGUAGES.sub(
            lambda m: report.add("abbreviation", m.group(), _language(m.group(), language)), text
        )
    if "-" in text and _EQUATION.search(text):
        minus = "减" if language == "zh" else " minus "
        text = _DECREMENT.sub(
            lambda m: m[1] + report.add("symbol", "--", "减减" if language == "zh" else " minus minus"),
            text,
        )
        text = _MINUS.sub(lambda m: m[1] + report.add("symbol", "-", minus), text)
    return text


def _language(found: str, language: Spoken) -> str:
    name = found.rstrip("+#")
    if found.endswith("#"):
        return f"{name} sharp"
    return f"{name}加加" if language == "zh" else f"{name} plus plus"


def speak_operators(text: str, language: Spoken, report: Report) -> str:
    """``text`` with the signs of comparisons, keys, hashtags and grades in words."""
    zh = language == "zh"
    if "<" in text or ">" in text or "=" in text:
        text = _COMPARISON.sub(
            lambda m: report.add("comparison", m["op"], _compare(m["op"], zh)), text
        )
    if "#" in text or "*" in text:
        text = _HASH_KEY.sub(lambda m: report.add("symbol", m.group(), _key(m, zh)), text)
        text = _TOPIC.sub(lambda m: f"，{m[1]}，" if zh else f" {m[1]} ", text)
        text = _HASHTAG.sub(lambda m: report.add("symbol", "#", "" if zh else "hashtag "), text)
        text = _LONE.sub(lambda m: _lone(m, zh, report), text)
    if "-" in text or "−" in text:
        minus = "减" if zh else " minus"
        text = _GRADE.sub(lambda m: m[1] + report.add("symbol", "-", minus), text)
    return text


def _compare(sign: str, zh: bool) -> str:
    words = _COMPARISONS[sign]
    return words[0] if zh else f" {words[1]} "


def _key(match: re.Match[str], zh: bool) -> str:
    hash_ = match.group().strip() in "#＃"
    if zh:
        named = match.string.startswith("号", match.end())
        return ("井" if hash_ else "星") + ("" if named else "号")
    return "pound" if hash_ else "star"


def _lone(match: re.Match[str], zh: bool, report: Report) -> str:
    """# and * by themselves: the keys of a telephone, else marks of lists that are not spoken."""
    text, found = match.string, match.group()
    near = text[max(0, match.start() - 40) : match.end() + 24]
    if not _PHONE.search(near):
        if found == "#" and match.start():
            return report.add("symbol", found, "井号" if zh else "hash")
        return found
    words = {"#": ("井号", "pound"), "*": ("星号", "star")}[found]
    return report.add("symbol", found, words[0] if zh else words[1])
