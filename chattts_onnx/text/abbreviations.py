"""English abbreviations and initialisms."""

from __future__ import annotations

import re
from functools import cache

from .core.language import is_function_word
from .core.report import Report
from .core.tables import rows

_CAPITALS = re.compile(
    r"(?<![A-Za-z0-9'&])(?<![A-Za-z]\.)[A-Z]{2,6}(?=s?(?![A-Za-z0-9])|[0-9])(?!\.[A-Z])"
)
_DOTTED = re.compile(r"(?<![A-Za-z.])(?:[A-Z]\.){2,}(?![A-Za-z])")
_CONSONANTS = re.compile(r"[BCDFGHJKLMNPQRSTVWXZ]{2,6}")
# A plate's letters are its own rule's.
_CODE = re.compile(
    r"(?:(?<![A-Za-z0-9'&京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使])|(?<=[A-Z][0-9]))"
    r"[A-Z]{2}(?=[0-9])|(?:(?<=[Ff]light )|(?<=航班))[A-Z]{2}(?= [0-9]{2,4}(?![0-9]))"
)
_FACTORS = re.compile(r"(?<==)[a-z]{2,3}(?=\^[-+0-9n])")
_ORDINAL = re.compile("first|second|third|[a-z]+th")
# A name follows them, no sentence.
_TITLES = {
    "Mr.", "Mrs.", "Ms.", "Dr.", "Prof.", "St.", "Mt.", "Gen.", "Capt.", "Lt.", "Sgt.", "Col.",
    "Rev.", "Hon.", "Sen.", "Rep.", "Gov.", "Pres.",
}  # fmt: skip
_AMPERSAND = re.compile(r"(?<=[A-Za-z])\s?&\s?(?=[A-Za-z])")


@cache
def _tables() -> tuple[dict[str, str], frozenset[str], frozenset[str]]:
    """Abbreviations with speech, initialisms to spell, and capitals that are words."""
    words: dict[str, str] = {}
    letters: set[str] = set()
    plain: set[str] = set()
    for section, word, *speech in rows("abbreviations"):
        if section == "say":
            words[word] = speech[0]
        else:
            (letters if section == "spell" else plain).add(word)
    return words, frozenset(letters), frozenset(plain)


@cache
def _pattern() -> re.Pattern[str]:
    words = sorted(_tables()[0], key=lambda word: -len(word))
    return re.compile(
        r"(?<![A-Za-z0-9])(?<![A-Za-z]\.)(?:"
        + "|".join(map(re.escape, words))
        + r")(?![A-Za-z0-9])"
    )


def expand_abbreviations(text: str, report: Report, spell: bool = True) -> str:
    """``text`` with Dr., e.g., U.S. and, where ``spell``, initialisms such as SQL in words."""
    if not any(map(str.isascii, text)):
        return text
    words = _tables()[0]
    if "." in text or "/" in text:
        text = _pattern().sub(lambda m: _say(m, words, report), text)
        text = _DOTTED.sub(lambda m: _dotted(m, report), text)
    if "&" in text:
        text = _AMPERSAND.sub(lambda m: report.add("symbol", m.group(), " and "), text)
    return _CAPITALS.sub(lambda m: _initials(m, report), text) if spell else text


def spell_codes(text: str, report: Report) -> str:
    """``text`` with two capitals before a number, and what a power is of, as letters: CA1501."""
    text = _FACTORS.sub(lambda m: report.add("symbol", m.group(), " ".join(m.group())), text)
    return _CODE.sub(lambda m: _initials(m, report, code=True), text)


def _say(match: re.Match[str], words: dict[str, str], report: Report) -> str:
    found = match.group()
    spoken = words[found]
    if found == "St.":
        # A name follows a saint; a street follows its name.
        before = match.string[: match.start()].rstrip()
        last = before.split()[-1] if before[-1:].isalpha() else ""
        street = last[:1].isupper() and not is_function_word(last)
        spoken = "Street" if street or _ORDINAL.fullmatch(last) else "Saint"
    rest = match.string[match.end() :].lstrip()
    ends = found.endswith(".") and (not rest or (rest[0].isupper() and found not in _TITLES))
    return report.add("abbreviation", found, spoken) + ("." if ends else "")


def _dotted(match: re.Match[str], report: Report) -> str:
    found = match.group()
    spoken = " ".join(found.replace(".", ""))
    rest = match.string[match.end() :]
    return report.add("abbreviation", found, spoken) + ("." if not rest.strip() else "")


def _initials(match: re.Match[str], report: Report, code: bool = False) -> str:
    found = match.group()
    _, letters, plain = _tables()
    if code or found in letters or (_CONSONANTS.fullmatch(found) and found not in plain):
        return report.add("initialism", found, " ".join(found))
    return found
