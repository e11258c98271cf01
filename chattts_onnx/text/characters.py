"""Characters before words: width, look-alike digits, emoji, controls.

Nothing here may lose a digit: every character that has a numeric meaning in Unicode becomes ASCII
digits that the number rules read afterwards.
"""

from __future__ import annotations

import re
import unicodedata

from ..choices import EmojiRule
from .core.report import Report

_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿˣʸᵏᵐᵗ"
_SUPERSCRIPT = {ord(c): d for c, d in zip(_RAISED, "0123456789+-nxykmt", strict=True)}
_SUPERSCRIPTS = re.compile(f"[{_RAISED}]+")
_ROMAN = re.compile("[\u2160-\u217f]")
_KEYCAP = re.compile("([0-9#*])\ufe0f?\u20e3")
_KEYCAP_TEN = "\U0001f51f"
_SQUARE_UNITS = str.maketrans(
    {"㎡": "m²", "㎥": "m³", "㎞": "km", "℃": "°C", "℉": "°F", "㏄": "cc"}
)
# CJK punctuation keeps its width; letters, digits and ASCII symbols lose theirs.
_KEEP_WIDE = frozenset("，！？；：（）～")
# Typed in full width, the comma of thousands is as wide as its digits.
_WIDE_THOUSANDS = re.compile("(?<![０-９，])[０-９]{1,3}(?:，[０-９]{3})+(?![０-９，])")
_DASHES = str.maketrans({"‐": "-", "‑": "-", "‒": "–", "―": "—", "−": "-", "﹣": "-", "－": "-"})
_EMOJI = re.compile(
    "[\U0001f000-\U0001f0ff\U0001f1e6-\U0001f1ff\U0001f300-\U0001faff\u2600-\u27bf\u2b00-\u2bff"
    "\u2300-\u23ff]+(?:[\ufe0e\ufe0f\u200d\U0001f3fb-\U0001f3ff]*"
    "[\U0001f000-\U0001faff\u2600-\u27bf]*)*"
)
_LIST_MARK = "\u2460-\u249b\u24ea-\u24ff\u2776-\u2793\u3251-\u325f\u32b1-\u32bf"
# Circled numbers beside digits are numbers of their own: ①3个 is no 13个.
_AFTER_LIST_MARK = re.compile(f"(?<=[{_LIST_MARK}])(?=\\d)")
_BEFORE_LIST_MARK = re.compile(f"(?<=\\d)(?=[{_LIST_MARK}])")
_BETWEEN_LIST_MARKS = re.compile(f"(?<=[{_LIST_MARK}])(?=[{_LIST_MARK}])")
_NUMERIC_DINGBATS = range(0x2776, 0x2794)


def fold_characters(text: str, report: Report, emoji: EmojiRule = "drop") -> str:
    """``text`` in plain characters: ASCII letters and digits, CJK, punctuation, symbols."""
    if text.isascii() and text.isprintable():
        return text
    text = _KEYCAP.sub(lambda m: report.add("keycap", m.group(), m.group(1)), text)
    if _KEYCAP_TEN in text:
        text = text.replace(_KEYCAP_TEN, report.add("keycap", _KEYCAP_TEN, " 10 "))
    text = _WIDE_THOUSANDS.sub(lambda m: m.group().replace("，", ","), text)
    text = _ROMAN.sub(_fold_roman, text)
    text = unicodedata.normalize("NFC", text.translate(_SQUARE_UNITS).translate(_DASHES))
    text = _BETWEEN_LIST_MARKS.sub("、", _BEFORE_LIST_MARK.sub(" ", text))
    text = _AFTER_LIST_MARK.sub("，", text)
    text = _SUPERSCRIPTS.sub(_raise_superscript, text)
    text = _EMOJI.sub(lambda m: _emoji(m.group(), report, emoji), text)
    folded = [c if c.isascii() and c.isprintable() else _fold(c, report) for c in text]
    return "".join(folded)


def _raise_superscript(match: re.Match[str]) -> str:
    digits = match.group().translate(_SUPERSCRIPT)
    following = match.string[match.end() : match.end() + 1]
    return f"^{digits} " if following.isdigit() else f"^{digits}"


def _fold_roman(match: re.Match[str]) -> str:
    return f"{unicodedata.numeric(match.group()):.0f}"


def _emoji(found: str, report: Report, rule: EmojiRule) -> str:
    digits = [c for c in found if ord(c) in _NUMERIC_DINGBATS]
    if digits:
        value = "".join(f" {unicodedata.numeric(c):.0f} " for c in digits)
        return report.add("character", found, value)
    names = [unicodedata.name(c, "").lower() for c in found if unicodedata.category(c) == "So"]
    spoken = f" {', '.join(n for n in names if n)} " if rule == "name" and any(names) else " "
    report.add("emoji", found, spoken.strip())
    return spoken


def _fold(character: str, report: Report) -> str:
    if character in _KEEP_WIDE or "\u4e00" <= character <= "\u9fff":
        return character
    if "\ufe00" <= character <= "\ufe0f":  # asks for a picture or a glyph of what stands before
        return ""
    category = unicodedata.category(character)
    if category in ("Cc", "Cf", "Cs", "Co", "Cn"):
        return _control(character, report)
    if category == "Zs":
        return " "
    if category == "Nd":
        return report.add("digit", character, str(unicodedata.digit(character)))
    if category in ("No", "So", "Sm") or unicodedata.decomposition(character).startswith("<"):
        return _compatible(character, report)
    return character


def _control(character: str, report: Report) -> str:
    if character == "\r":
        return ""
    if character in "\n\t\u2028\u2029\x0b\x0c\x85":
        return "\n" if character != "\t" else " "
    report.add("control character", f"U+{ord(character):04X}", "")
    return ""


def _compatible(character: str, report: Report) -> str:
    """Circled numbers, fractions, full width: what NFKC makes of them, if that is plain."""
    if character in "…‥№":
        return character
    plain = unicodedata.normalize("NFKC", character)
    if plain.startswith(" ") and len(plain) > 1:  # an accent by itself, such as ¯
        return report.add("character", character, " ")
    if "\u2044" in plain:  # ½ is 1⁄2; the spaces keep 1½3 from becoming 11/23
        return report.add("fraction", character, " " + plain.replace("\u2044", "/") + " ")
    if plain != character and any(c.isalnum() or c.isascii() for c in plain):
        wide = "\uff01" <= character <= "\uffee"
        return plain if wide else report.add("character", character, plain)
    value = unicodedata.numeric(character, None)
    if value is None:
        return character
    if value == int(value):
        return report.add("character", character, str(int(value)))
    # A fraction of a script that has no compatible one; their denominators are at most 320.
    bottom = next(n for n in range(2, 1000) if abs(value * n - round(value * n)) < 1e-6)
    return report.add("fraction", character, f" {round(value * bottom)}/{bottom} ")
