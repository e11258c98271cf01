"""Symbols to words or nothing, and punctuation to the marks that the model knows.

Question marks, exclamation marks and apostrophes keep their effect.  What no rule knows is left
out and reported.
"""

from __future__ import annotations

import re
import unicodedata

from .choices import Backend
from .language import Spoken, is_cjk
from .report import Report
from .wetext_backend import read_leftover

_WORDS: dict[str, tuple[str, str]] = {
    "&": ("和", " and "),
    "@": ("艾特", " at "),
    "%": ("百分号", " percent "),
    "+": ("加", " plus "),
    "=": ("等于", " equals "),
    "×": ("乘", " times "),
    "÷": ("除以", " divided by "),
    "→": ("到", " to "),
    "≥": ("大于等于", " at least "),
    "≤": ("小于等于", " at most "),
    "≈": ("约等于", " about "),
    "≠": ("不等于", " not equal to "),
    "±": ("正负", " plus or minus "),
    "$": ("美元", " dollars "),
    "€": ("欧元", " euros "),
    "£": ("英镑", " pounds "),
    "￥": ("元", " yuan "),
    "¥": ("元", " yuan "),
    "°": ("度", " degrees "),
    "π": ("派", " pi "),
    "∞": ("无穷大", " infinity "),
    "√": ("根号", " square root of "),
    "α": ("阿尔法", " alpha "),
    "β": ("贝塔", " beta "),
    "γ": ("伽马", " gamma "),
    "δ": ("德尔塔", " delta "),
    "λ": ("兰姆达", " lambda "),
    "μ": ("缪", " mu "),
    "σ": ("西格玛", " sigma "),
    "ω": ("欧米伽", " omega "),
    "Ω": ("欧米伽", " omega "),
    "Δ": ("德尔塔", " delta "),
    "§": ("第", " section "),
    "¢": ("美分", " cents "),
    "ε": ("艾普西隆", " epsilon "),
    "ζ": ("泽塔", " zeta "),
    "η": ("伊塔", " eta "),
    "θ": ("西塔", " theta "),
    "κ": ("卡帕", " kappa "),
    "ν": ("纽", " nu "),
    "ξ": ("克西", " xi "),
    "ρ": ("柔", " rho "),
    "τ": ("陶", " tau "),
    "φ": ("斐", " phi "),
    "ϕ": ("斐", " phi "),
    "χ": ("希", " chi "),
    "ψ": ("普西", " psi "),
    "Γ": ("伽马", " gamma "),
    "Θ": ("西塔", " theta "),
    "Λ": ("兰姆达", " lambda "),
    "Π": ("派", " pi "),
    "Σ": ("西格玛", " sigma "),
    "Φ": ("斐", " phi "),
    "Ψ": ("普西", " psi "),
    "∈": ("属于", " in "),
    "∉": ("不属于", " not in "),
    "⊂": ("包含于", " is a subset of "),
    "⊆": ("包含于", " is a subset of "),
    "∪": ("并", " union "),
    "∩": ("交", " intersection "),
    "∅": ("空集", " the empty set "),
    "∀": ("对任意", " for all "),
    "∃": ("存在", " there exists "),
    "∵": ("因为", " because "),
    "∴": ("所以", " therefore "),
    "∝": ("正比于", " is proportional to "),
    "∑": ("求和", " the sum of "),
    "∏": ("求积", " the product of "),
    "∫": ("积分", " the integral of "),
    "∂": ("偏", " partial "),
    "∇": ("梯度", " nabla "),
    "∠": ("角", " angle "),
    "⊥": ("垂直于", " is perpendicular to "),
    "∥": ("平行于", " is parallel to "),
    "⇒": ("推出", " implies "),
    "⇔": ("等价于", " if and only if "),
    "←": ("来自", " from "),
    "↑": ("上升", " up "),
    "↓": ("下降", " down "),
    "↔": ("和", " and "),
    "≡": ("恒等于", " is equivalent to "),
    "≪": ("远小于", " is much less than "),
    "≫": ("远大于", " is much greater than "),
}
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
