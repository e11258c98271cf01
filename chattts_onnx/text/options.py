"""How a text is normalised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from ..errors import InputError
from .choices import Backend, EmojiRule, Erhua, Language, Numbers
from .language import Spoken
from .lexicon import Lexicon


@dataclass(frozen=True)
class TextOptions:
    """Choices of :func:`~chattts_onnx.text.normalize`; the defaults read by context.

    ``language``: ``auto`` decides per number from the words around it.
    ``numbers``: ``auto`` reads quantities as numbers and phone numbers, years and codes digit by
    digit; ``digits`` and ``cardinal`` force one of the two.
    ``yao``: whether a 1 in a Chinese phone number is 幺.
    ``lexicon``: the user's words, see :class:`.Lexicon`.
    ``erhua``: ``merge`` drops a 儿 that is no syllable of its own (花儿 -> 花); ``keep`` leaves it.
    ``emoji``: ``drop`` (and report) or ``name`` (speak the English Unicode name).
    ``spell``: whether initialisms such as SQL are spelled S Q L.
    ``backend``: what reads units and symbols that the built-in rules do not know: ``wetext``
    (an error where it is not installed), ``rules`` (never load it), or ``auto``.
    """

    language: Language = "auto"
    numbers: Numbers = "auto"
    yao: bool = True
    lexicon: Lexicon = field(default_factory=Lexicon)
    erhua: Erhua = "merge"
    emoji: EmojiRule = "drop"
    spell: bool = True
    backend: Backend = "auto"
    default_language: Spoken | None = None

    def __post_init__(self) -> None:
        for name, kind in (
            ("language", Language),
            ("numbers", Numbers),
            ("erhua", Erhua),
            ("emoji", EmojiRule),
            ("backend", Backend),
        ):
            value, choices = getattr(self, name), get_args(kind)
            if value not in choices:
                raise InputError(f"{name} is {value!r}; expected one of {', '.join(choices)}.")
