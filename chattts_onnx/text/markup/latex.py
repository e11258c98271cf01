r"""Formulas: where they stand in a text.  :mod:`.formula` reads one."""

from __future__ import annotations

import re

from ..core.language import Spoken
from ..core.report import Report
from ..core.tags import TAG
from .formula import read_formula
from .spans import replace_spans

# Longer ones are pasted documents; they are read as text.
_LONGEST = 4000
_DISPLAY = (
    (re.compile(r"\$\$"), re.compile(r"\$\$")),
    (re.compile(r"\\\["), re.compile(r"\\\]")),
    (re.compile(r"\\\("), re.compile(r"\\\)")),
    (
        re.compile(r"\\begin\{(?:equation|align|gather|displaymath|math|multline|eqnarray)\*?\}"),
        re.compile(r"\\end\{(?:equation|align|gather|displaymath|math|multline|eqnarray)\*?\}"),
    ),
)
# As Pandoc has it: no space inside the dollars, no digit after the last.
_INLINE = re.compile(
    r"(?<![\\$A-Za-z0-9])\$(?=[^\s$])((?:[^$\n，。；！？\\]|\\.){1,400})(?<=\S)\$(?![0-9$])"
)
_MATHS = re.compile(
    r"\\[a-zA-Z%$]|[\^_=<>+*/|!]|[a-zA-Z]\s*[-(]|[0-9)]\s*-\s*[0-9a-z(]"
    # A variable, a term, a number, a pair, a list of variables.
    r"|^\s*[a-zA-Zα-ωΑ-Ω]'{0,2}\s*$|^\s*[0-9]*[a-z]\s*$|^[0-9.]+$"
    r"|^\([a-zA-Z0-9, ]+\)$|^[a-zA-Z](?:,\s?[a-zA-Z])+$"
)
_CJK = re.compile("[\u4e00-\u9fff]")
# Commands that nothing but a formula has, outside of any marks.
_BARE = re.compile(
    r"\\(?:d?t?frac|sqrt|sum|int|prod|lim|times|cdot|div|pm|leq?|geq?|neq?|approx|infty|alpha|beta|gamma|delta|"
    r"epsilon|theta|lambda|mu|pi|sigma|phi|omega|Delta|Omega|Sigma|Gamma|rightarrow|to|degree|angle|partial|nabla|mathrm|text|vec|hat|bar|"
    r"overline|left|right|log|ln|sin|cos|tan|exp|max|min|boxed|in|cup|cap|subset|forall|exists|quad|circ|therefore|because)(?![A-Za-z])"
)
_SIDE = r"[A-Za-z0-9+\-*/=^_(){}|!<>.\\]"


def has_formula(text: str) -> bool:
    """Whether a text may hold a formula at all."""
    return "$" in text or "\\" in text


def speak_formulas(text: str, language: Spoken, report: Report) -> str:
    """``text`` with its formulas in words of ``language``."""
    if not has_formula(text):
        return text

    def speak(whole: str, inner: str) -> str:
        if len(inner) > _LONGEST or not inner.strip() or TAG.search(inner):
            return whole
        return report.add("formula", whole, _apart(read_formula(inner, language), language))

    for start, stop in _DISPLAY:
        text = replace_spans(text, start, stop, speak)
    text = _INLINE.sub(lambda m: speak(m.group(), m[1]) if _is_formula(m[1]) else m.group(), text)
    return _bare(text, language, report)


def without_formulas(text: str) -> str:
    """The text around the formulas, whose letters tell the language."""
    for start, stop in _DISPLAY:
        text = replace_spans(text, start, stop, lambda *_: " ")
    text = _INLINE.sub(lambda m: " " if _is_formula(m[1]) else m.group(), text)
    return re.sub(r"\\[A-Za-z]+", " ", text)


def _is_formula(inner: str) -> bool:
    """$x = 5$ is one; $5 and $10 and $20，不是$30 are sums of money."""
    if _CJK.search(inner):
        return "\\" in inner
    if re.match(r"[0-9][0-9,.]*\s[a-z]{2,}|[A-Z]{2,5}\b", inner) and "\\" not in inner:
        return False
    return bool(_MATHS.search(inner))


def _bare(text: str, language: Spoken, report: Report) -> str:
    r"""\frac{1}{2} in the text without dollars: up to the last character of a formula."""
    parts, position = [], 0
    while match := _BARE.search(text, position):
        start, end = match.start(), match.end()
        while start > position and re.match(_SIDE, text[start - 1]):
            start -= 1
        end = _formula_end(text, end)
        found = text[start:end]
        parts.append(text[position:start])
        spoken = found
        if not TAG.search(found):  # a control tag stays whatever it stands in
            spoken = _apart(read_formula(found, language), language)
        parts.append(report.add("formula", found, spoken))
        position = end
    return "".join([*parts, text[position:]]) if parts else text


def _formula_end(text: str, end: int) -> int:
    """Where what began with a command ends: braces whole, then characters of formulas."""
    depth = 0
    limit = min(len(text), end + _LONGEST)
    while end < limit:
        character = text[end]
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth < 0:
                return end
        elif depth == 0 and not re.match(_SIDE, character):
            after = text[end : end + 3]
            joined = re.match(r"\s(?:[-+=*/<>]|\\|[a-z](?![A-Za-z]))", after)
            if not (joined or (character == " " and text[end - 1 : end] in tuple("+-=*/<>"))):
                break
        end += 1
    while end and text[end - 1] in ".!" and depth <= 0:
        end -= 1
    return end


def _apart(spoken: str, language: Spoken) -> str:
    return f" {spoken} " if language == "en" else spoken
