"""Text as people type it to text as it is spoken."""

from __future__ import annotations

import re

from ..charset import require_text
from ..errors import InputError
from .abbreviations import expand_abbreviations
from .addresses import speak_addresses
from .characters import fold_characters
from .cleanup import remove_structure
from .context import Place, Spoken, is_cjk
from .erhua import merge_erhua
from .options import TextOptions
from .punctuation import speak_symbols, tidy
from .report import Normalized, Report
from .scanner import read_numbers
from .tags import split_tags
from .wetext_backend import require

_DEFAULT = TextOptions()
_LINE = re.compile(r"[ \t]*\n[ \t\n]*")
_CHINESE_MARKS = frozenset("，。！？、；：")
_SPEAKABLE = re.compile(r"\w")
# One character each, which only East Asian keyboards type.
_CHINESE_UNITS = frozenset("℃㎡㎥㎞")


def normalize(text: str, options: TextOptions | None = None) -> Normalized:
    """Speakable text, and a report of every change.

    Numbers, dates, sums, units, addresses and symbols become words of the language around them;
    words of the user's lexicon become their speech; control tags such as ``[laugh]`` stay, and
    tokens that structure prompts are taken out.  No digit outside a control tag is left, and none
    is left out without an entry in the report.

    Raises :class:`InputError` when ``text`` is no string or holds undecoded bytes, or wetext is
    asked for and missing.
    """
    if not isinstance(text, str):
        raise InputError(f"text is {type(text).__name__}; expected a string.")
    require_text(text, "the text")
    chosen, report = options or _DEFAULT, Report()
    require(chosen.backend)
    folded = remove_structure(fold_characters(text, report, chosen.emoji), report)
    default = _language(text, folded, chosen)
    parts = [
        part if is_tag else _words(part, chosen, report, default)
        for part, is_tag in split_tags(folded)
    ]
    return Normalized(tidy("".join(parts)), report)


def _language(typed: str, folded: str, options: TextOptions) -> Spoken:
    """What numbers are read in where their clause does not tell; the letters of tags don't."""
    if options.language != "auto":
        return options.language
    text = "".join(part for part, is_tag in split_tags(folded) if not is_tag)
    chinese = any(is_cjk(c) or c in _CHINESE_MARKS for c in text)
    chinese = chinese or not _CHINESE_UNITS.isdisjoint(typed)
    return "zh" if chinese or not any(map(str.isalpha, text)) else "en"


def _words(text: str, options: TextOptions, report: Report, default: Spoken) -> str:
    if not _SPEAKABLE.search(text):
        return speak_symbols(text, default, report, options.backend)
    text = speak_addresses(text, default, report)
    text = options.lexicon.apply(text, report)
    text = merge_erhua(text, report, options.lexicon) if options.erhua == "merge" else text
    text = read_numbers(Place(text, options, report, default))
    text = expand_abbreviations(text, report, options.spell)
    return speak_symbols(_LINE.sub(_break, text), default, report, options.backend)


def _break(match: re.Match[str]) -> str:
    """A line's end: a pause after Chinese or before an empty line, a space in running English."""
    before = match.string[: match.start()][-1:]
    return "。" if is_cjk(before) or match.group().count("\n") > 1 else " "
