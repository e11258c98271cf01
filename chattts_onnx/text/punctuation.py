"""Symbols to words or nothing, and punctuation to the marks that the model knows.

Question marks, exclamation marks and apostrophes keep their effect.  What no rule knows is left
out and reported.
"""

from __future__ import annotations

import re
import unicodedata

from ..choices import Backend
from .core.language import Spoken, is_cjk
from .core.report import Report
from .core.tables import rows
from .core.wetext_backend import read_leftover

_WORDS = {sign: (zh, f" {en} ") for signs, *_, zh, en in rows("symbols") for sign in signs.split()}
_STOPS = {"…": "。", "‥": "。", "｡": "。"}
_PAUSES = frozenset("；;：:（）()【】〔〕｛｝{}[]—–|")
# Marks around words or of typography: nothing is lost when they are not spoken.
_SILENT = frozenset('"“”„‟«»‹›「」『』《》〈〉`´*#•●○■□◆◇★☆▲△▼▽♪♫♥♡†‡¶©®™_~～^<>\\')
_KEPT = frozenset("，。？！、,.?!'")
_APOSTROPHE = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "＇": "'", "‛": "'"})
_LONE_APOSTROPHE = re.compile(r"(?<![A-Za-z])'|(?<=[A-Za-z])'(?![A-Za-z])(?<!s')")
_MARKS = re.compile(r" ?[，。？！、,.?!][ ，。？！、,.?!]*")
_DOTS = re.compile(r"\.{2,}|。{2,}")
_SPACED_SLASH = re.compile(r"\s[/|]\s")
_DEGREES = re.compile(r"°[CF](?![A-Za-z])")
_HYPHEN = re.compile(r"-+")
_NAMED = re.compile(r"\$(?=[A-Za-z_{])")
_SPACES = re.compile(r"\s+")
# Numbers side by side stay apart: 12 34 is not 十二三十四, nor 周一 3点 周一三点.
_NUMERALS = "零一二三四五六七八九十百千万亿两"
_NUMBER_GAP = re.compile(f"(?<=[{_NUMERALS}])\\s+(?=[{_NUMERALS}])")
_CJK_GAP = re.compile(r"(?<=[\u4e00-\u9fff，。？！、])\s+(?=[\u4e00-\u9fff，。？！、])")
_FULL = str.maketrans({",": "，", ".": "。", "?": "？", "!": "！"})
_HALF = str.maketrans({"，": ",", "。": ".", "？": "?", "！": "!", "、": ","})
_RANK = "、,，.。!！?？"


def speak_symbols(text: str, language: Spoken, report: Report, backend: Backend = "auto") -> str:
    """``text`` in words, spaces and the marks ，。？！、,.?! and the apostrophe."""
    if "°" in text:
        text = _DEGREES.sub(lambda m: report.add("symbol", m.group(), _degrees(m, language)), text)
    text = _LONE_APOSTROPHE.sub(" ", text.translate(_APOSTROPHE))
    text = _HYPHEN.sub(lambda m: "，" if len(m.group()) > 1 else " ", text)
    text = _SPACED_SLASH.sub("，", text)
    text = _DOTS.sub(lambda m: "。", text)
    if "$" in text:  # $HOME, $AAPL: no sum of money
        text = _NAMED.sub(lambda m: report.add("symbol", m.group(), "") + " ", text)
    if not all(c in _KEPT or c.isspace() or (c.isalnum() and c not in _WORDS) for c in text):
        text = "".join(_symbol(c, language, report, backend) for c in text)
    return text


def _degrees(match: re.Match[str], language: Spoken) -> str:
    zh, en = {"C": ("摄氏度", " Celsius "), "F": ("华氏度", " Fahrenheit ")}[match.group()[1]]
    return zh if language == "zh" else f" degrees{en}"


def _symbol(character: str, language: Spoken, report: Report, backend: Backend) -> str:
    if character in _WORDS:
        return report.add("symbol", character, _WORDS[character][0 if language == "zh" else 1])
    if character.isalnum() or character in _KEPT or character.isspace():
        return character
    if character in _STOPS:
        return _STOPS[character]
    if character in _PAUSES:
        return "，" if language == "zh" else ", "
    if character in _SILENT or character in "·・‧":
        report.add("symbol", character, "")
        return " "
    if character == "/":
        return report.add("symbol", character, " ")
    if unicodedata.category(character) in ("Mn", "Mc", "Lm"):
        return character
    spoken = read_leftover(character, language, backend)
    report.add("unknown symbol", character, spoken or "")
    return spoken or " "


def tidy(text: str) -> str:
    """One mark where several stand, in the width of the words around it, and single spaces."""
    text = _MARKS.sub(_mark, _SPACES.sub(" ", text))
    return _CJK_GAP.sub("", _NUMBER_GAP.sub("，", text)).strip()


def _mark(match: re.Match[str]) -> str:
    """The strongest of a run of marks: a question mark beats a stop, which beats a pause."""
    found = match.group()
    mark = max((c for c in found if c in _RANK), key=_RANK.index)
    text, end = match.string, match.end()
    before = text[match.start() - 1] if match.start() else ""
    after = text[end] if end < len(text) else ""
    if not before and mark in "、,，.。":
        return ""
    if is_cjk(before) or (before == "]" and is_cjk(after)):
        return mark.translate(_FULL)
    if before and is_cjk(after) and mark in ",.":
        return mark.translate(_FULL)
    if mark in "，。？！、" and not is_cjk(after):
        mark = mark.translate(_HALF)
    joined = mark in ".'" and found == mark and before.isalnum() and after.isalnum()
    return mark if joined or not after or mark in "，。？！、" else mark + " "
