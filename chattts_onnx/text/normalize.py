"""Text as people type it to text as it is spoken."""

from __future__ import annotations

import re

from ..charset import require_text
from ..errors import InputError
from .abbreviations import expand_abbreviations, spell_codes
from .addresses import speak_addresses
from .characters import fold_characters
from .cleanup import remove_structure
from .core import pauses
from .core.context import Place
from .core.language import Spoken, is_cjk, own_language
from .core.options import TextOptions
from .core.report import Normalized, Report
from .core.tags import split_tags
from .core.wetext_backend import require
from .directions import Directions, without_voices
from .erhua import merge_erhua
from .markup import MarkupReader
from .operators import name_before_numbers, speak_operators
from .punctuation import speak_symbols, tidy
from .scanner import read_numbers

_DEFAULT = TextOptions()
_LINE = re.compile(r"[ \t]*\n[ \t\n]*")
_SPEAKABLE = re.compile(r"\w")


def normalize(text: str, options: TextOptions | None = None) -> Normalized:
    """Speakable text, and a report of every change.

    Markup is taken off; numbers, dates, sums, units, addresses and symbols become words of the
    language around them; words of the user's lexicon become their speech; control tags such as
    ``[laugh]`` stay, and tokens that structure prompts are taken out.  No digit outside a control
    tag is left, and none is left out without an entry in the report.  A pause that markup or a
    direction asks for is a mark here, and another voice is left out; :func:`split_pieces` makes
    both.

    Raises :class:`InputError` when ``text`` is no string or holds undecoded bytes or a pause
    without a length, or wetext is asked for and missing.
    """
    if not isinstance(text, str):
        raise InputError(f"text is {type(text).__name__}; expected a string.")
    require_text(text, "the text")
    chosen, report = options or _DEFAULT, Report()
    directed = without_voices(Directions(report).read(text))
    plain = markup_reader(chosen, report).read(directed)
    return Normalized(speak(pauses.as_marks(plain), chosen, report), report)


def markup_reader(options: TextOptions, report: Report) -> MarkupReader:
    """What takes the markup off a text under ``options``."""
    language = None if options.language == "auto" else options.language
    return MarkupReader(options.markup, options.code, language, options.default_language, report)


def speak(text: str, options: TextOptions, report: Report, around: Spoken | None = None) -> str:
    """Words of a text without markup; ``around`` is the language of the sentences beside it."""
    require(options.backend)
    folded = remove_structure(fold_characters(text, report, options.emoji), report)
    default = _language(text, folded, options, around)
    parts = [
        part if is_tag else _words(part, options, report, default)
        for part, is_tag in split_tags(folded)
    ]
    return tidy("".join(parts))


def _language(typed: str, folded: str, options: TextOptions, around: Spoken | None) -> Spoken:
    """What numbers are read in: the caller's language, the text's own, else what it stands in."""
    if options.language != "auto":
        return options.language
    context = around or options.default_language
    return own_language(folded, typed=typed, strict=context is not None) or context or "zh"


def _words(text: str, options: TextOptions, report: Report, default: Spoken) -> str:
    if not _SPEAKABLE.search(text):
        return speak_symbols(text, default, report, options.backend)
    text = speak_addresses(text, default, report)
    text = options.lexicon.apply(text, report)
    text = merge_erhua(text, report, options.lexicon) if options.erhua == "merge" else text
    text = spell_codes(text, report) if options.spell else text
    text = name_before_numbers(text, default, report)
    text = read_numbers(Place(text, options, report, default))
    text = speak_operators(text, default, report)
    text = expand_abbreviations(text, report, options.spell)
    return speak_symbols(_LINE.sub(_break, text), default, report, options.backend)


def _break(match: re.Match[str]) -> str:
    """A line's end: a pause after Chinese or before an empty line, a space in running English."""
    before = match.string[: match.start()][-1:]
    return "。" if is_cjk(before) or match.group().count("\n") > 1 else " "
