"""How a text is normalised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from ...choices import Backend, Code, EmojiRule, Erhua, Language, Markup, Numbers
from ...errors import InputError
from .language import Spoken
from .lexicon import Lexicon


@dataclass(frozen=True)
class TextOptions:
    """Choices of :func:`~chattts_onnx.text.normalize`; the defaults read by context.

    ``language``: ``auto`` takes the language of the text's letters, else of the sentences around
    it, else ``default_language``.
    ``numbers``: ``auto`` reads quantities as numbers and phone numbers, years and codes digit by
    digit; ``digits`` and ``cardinal`` force one of the two.
    ``yao``: whether a 1 in a Chinese phone number is 幺.
    ``lexicon``: the user's words, see :class:`.Lexicon`.
    ``erhua``: ``merge`` drops a 儿 that is no syllable of its own (花儿 -> 花); ``keep`` leaves it.
    ``emoji``: ``drop`` (and report) or ``name`` (speak the English Unicode name).
    ``spell``: whether initialisms such as SQL are spelled S Q L.
    ``backend``: what reads units and symbols that the built-in rules do not know: ``wetext``
    (an error where it is not installed), ``rules`` (never load it), or ``auto``.
    ``markup``: what carries the text and is not spoken: ``auto`` takes off HTML, SSML, Markdown,
    formulas and chat templates where they are sure to be markup; ``ssml`` and ``markdown`` say what
    it is; ``plain`` takes nothing off.
    ``code``: whether blocks of code are ``read`` or left out (``skip``, and reported).
    ``default_language``: of a text without letters (``1,000``) that stands in no other; that of a
    voice or bundle.  None is Chinese.
    """

    language: Language = "auto"
    numbers: Numbers = "auto"
    yao: bool = True
    lexicon: Lexicon = field(default_factory=Lexicon)
    erhua: Erhua = "merge"
    emoji: EmojiRule = "drop"
    spell: bool = True
    backend: Backend = "auto"
    markup: Markup = "auto"
    code: Code = "read"
    default_language: Spoken | None = None

    def __post_init__(self) -> None:
        for name, kind in (
            ("language", Language),
            ("numbers", Numbers),
            ("erhua", Erhua),
            ("emoji", EmojiRule),
            ("backend", Backend),
            ("markup", Markup),
            ("code", Code),
        ):
            value, choices = getattr(self, name), get_args(kind)
            if value not in choices:
                raise InputError(f"{name} is {value!r}; expected one of {', '.join(choices)}.")
        if self.default_language not in (None, "zh", "en"):
            raise InputError(
                f"default_language is {self.default_language!r}; expected zh, en or None."
            )
