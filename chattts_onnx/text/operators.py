"""Signs whose meaning is in the letters and words beside them: a<b, #键, press *, C++11, A-.

What a number rule reads is not here; :mod:`.punctuation` reads the signs that mean one thing.
"""

from __future__ import annotations

import re

from .core import chinese, english
from .core.language import Spoken
from .core.report import Report
from .core.tables import symbols

_LANGUAGES = re.compile(
    r"(?<![A-Za-z0-9])(?:[CF]#|[A-Za-z]\+\+|[A-Za-z]{2,}\+\+)(?!\+)|(?<=[gc])\+\+"
)
_DECREMENT = re.compile(r"(?<![A-Za-z0-9-])([a-z])--(?![->A-Za-z0-9])")
# *67, *#06#, *123#: codes of a telephone.
_DIALLED = re.compile(
    r"(?<![A-Za-z0-9)*#\s])\s?(?P<code>[*#]{1,2}[0-9]{1,6}(?:\*[0-9]{1,6})*#?)(?![0-9A-Za-z*#])"
    r"|(?<=[a-z] )(?P<more>\*#?[0-9]{1,6}(?:\*[0-9]{1,6})*#|\*[0-9]{2,3}(?=[\s.,]|\Z))"
)
_DIAL_BEFORE = re.compile(r"(?:[拨按打入]|dial|press|enter|call|type|code)\s?\Z", re.IGNORECASE)
_FUNCTION = re.compile(r"(?<![A-Za-z])([f-hFGP])\(([a-z])\)(?![A-Za-z0-9])")
_OVER = re.compile(r"(?<=[0-9)])/(?=[xyznabkt](?![A-Za-z]))")
_COMPARISONS = symbols("between")
_COMPARISON = re.compile(
    r"(?<=[\w)\]%}°])(?P<gap>\s?)(?P<op><=|>=|!=|==|&&|\|\||[-=]>|<-|<(?![<|/!?])|(?<![->=])>(?!>))(?=\s?[\w(\[{\"'-])"
)
# vector<string>, Hello <name>: brackets.
_BRACKETS = re.compile(r"<([A-Za-z_\u4e00-\u9fff][\w.-]{0,40})>")
_HASH_KEY = re.compile(
    r"(?:(?<=按)|(?<=输入)|(?<=输)|(?<=拨)|(?<=键入)|(?<=加)|(?<=以)|(?<=用)|(?<=是)|(?<=的))\s?[#＃*＊](?=\s?(?:[键号，。,.；;]|结束|结尾|确认|返回|重|退出|开头|\Z))"
    r"|[#＃*＊](?=\s?(?:号?键|号))"
)
_TOPIC = re.compile(r"[#＃](?=\S)([^#＃\n]{1,32})(?<=\S)[#＃](?![A-Za-z0-9])")
_HASHTAG = re.compile(r"(?<![A-Za-z0-9&#])#(?=[A-Za-z][A-Za-z_]+)")
_LONE = re.compile(r"(?<![^\s(（\"'“])[#*](?![^\s)）.,!?;:，。！？；：\"'”])")
_PHONE = re.compile(r"press|dial|\bkey|menu|repeat|[按拨]", re.IGNORECASE)
_GRADE = re.compile(
    r"(?<![A-Za-z0-9-])([A-D])[-−](?=(?:\s(?![A-Z0-9-])|[，。,.!?！？；;、)）]|级|等|档|评|的|以上|\Z))"
)
_MINUS = re.compile(
    # Not in 1.4e-23.
    r"(?<![A-Za-z])((?<![0-9])[a-z]|[a-df-z])(\s?)[-−]\2(?=[a-z0-9(](?![A-Za-z]))"
    r"|(?<=[0-9)\]]) ?[-−] ?(?=[0-9]*[a-zA-Z(](?![A-Za-z]))"
    r"|(?<=[)\]]) ?[-−] ?(?=[0-9])"
)
_EQUATION = re.compile(r"[=＝+×÷*/^<>≤≥≈]")


def name_before_numbers(text: str, language: Spoken, report: Report) -> str:
    """``text`` with C++, C#, i-- and x - y in words, before a number rule takes their signs."""
    if "+" in text or "#" in text:
        text = _LANGUAGES.sub(
            lambda m: report.add("abbreviation", m.group(), _language(m.group(), language)), text
        )
    if "*" in text or "#" in text:
        text = _DIALLED.sub(lambda m: _dialled(m, language, report), text)
    if "/" in text:
        over = "除以" if language == "zh" else " over "
        text = _OVER.sub(lambda m: report.add("symbol", m.group(), over), text)
    if "(" in text:
        of = " " if language == "zh" else " of "
        text = _FUNCTION.sub(lambda m: report.add("formula", m.group(), f"{m[1]}{of}{m[2]}"), text)
    if "-" in text and _EQUATION.search(text):
        minus = "减" if language == "zh" else " minus "
        text = _DECREMENT.sub(
            lambda m: (
                m[1] + report.add("symbol", "--", "减减" if language == "zh" else " minus minus")
            ),
            text,
        )
        text = _MINUS.sub(lambda m: (m[1] or "") + report.add("symbol", "-", minus), text)
    return text


def _dialled(match: re.Match[str], language: Spoken, report: Report) -> str:
    """A code is dialled where the words before say so, or with both * and #."""
    code = match["code"] or match["more"]
    before = match.string[max(0, match.start() - 8) : match.start()] + match.group()[: -len(code)]
    if not (_DIAL_BEFORE.search(before) or ("*" in code and "#" in code)):
        return match.group()
    zh = language == "zh"
    keys = {"*": "星号" if zh else "star", "#": "井号" if zh else "pound"}
    digits = chinese.digits if zh else english.digits
    spoken = ("" if zh else " ").join(keys.get(key) or digits(key) for key in code)
    return report.add("phone", code, spoken if zh else f" {spoken}")


def _language(found: str, language: Spoken) -> str:
    name = found.rstrip("+#")
    if found.endswith("#"):
        return f"{name} sharp"
    return f"{name}加加" if language == "zh" else f"{name} plus plus"


def speak_operators(text: str, language: Spoken, report: Report) -> str:
    """``text`` with the signs of comparisons, keys, hashtags and grades in words."""
    zh = language == "zh"
    if any(sign in text for sign in ("<", ">", "=", "&&", "||")):
        text = _BRACKETS.sub(r" \1 ", text)
        text = _COMPARISON.sub(
            lambda m: report.add("comparison", m["op"], _compare(m["op"], zh)), text
        )
    if "#" in text or "*" in text:
        text = _HASH_KEY.sub(lambda m: report.add("symbol", m.group(), _key(m, zh)), text)
        text = _TOPIC.sub(lambda m: _topic(m, zh), text)
        text = _HASHTAG.sub(lambda m: report.add("symbol", "#", "" if zh else "hashtag "), text)
        text = _LONE.sub(lambda m: _lone(m, zh, report), text)
    if "-" in text or "−" in text:
        minus = "减" if zh else " minus"
        text = _GRADE.sub(lambda m: (m[1] or "") + report.add("symbol", "-", minus), text)
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


def _topic(match: re.Match[str], zh: bool) -> str:
    """#春节#: the marks only set the words apart."""
    if not zh:
        return f" {match[1]} "
    before = match.string[: match.start()][-1:].isalnum()
    after = match.string[match.end() :][:1].isalnum()
    return f"{'，' if before else ''}{match[1]}{'，' if after else ''}"


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
