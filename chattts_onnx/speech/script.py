"""A text of any length as a script: pieces in one voice, each with its seed, passes and pause.

Whoever speaks a text, alone, through an engine or among thousands of lines, takes its pieces from
here and joins their audio here, so the same text with the same options is the same speech.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import cast

import numpy as np
import numpy.typing as npt

from ..charset import require_text
from ..errors import InputError
from ..model import Model
from ..text import Piece, piece_limit, sentences_apart, split_pieces
from ..text.language import Spoken
from ..text.options import TextOptions
from ..text.report import Report
from ..voices.vectors import Voice
from .options import SpeechOptions
from .requests import OnStep, Options, Passes, check, plan, reading

Floats = npt.NDArray[np.float32]

# What is quieter at a piece's end counts as part of the pause that follows it.
_QUIET = 0.005


@dataclass(frozen=True)
class Part:
    """One piece and the passes that speak it."""

    piece: Piece
    passes: Passes


class Script:
    """Iterate once for the :class:`Part` of each piece, made as it is asked for.

    ``text`` may be an iterable of its parts, such as an open file, and is read as it is spoken.
    ``voice`` None draws one voice (by the seed) for all pieces where there are several.  Piece i
    takes ``seed + i``.  ``report`` collects what normalisation did.  ``language`` is that of
    a voice given as a vector; a named one's is known.

    Raises :class:`InputError` or :class:`VoiceError` at once for what is wrong with the arguments,
    and when there is nothing to speak.
    """

    def __init__(
        self,
        bundle: Model,
        text: str | Iterable[str],
        voice: Voice | None,
        options: SpeechOptions,
        on_step: OnStep | None = None,
        report: Report | None = None,
        language: Spoken | None = None,
    ) -> None:
        own = cast(Options, options)
        check(own)
        self.bundle = bundle
        self._options: Options = {**own, "normalize": False}
        self._seed, self._on_step = options.get("seed"), on_step
        self._voice = bundle.speaker(voice)
        reader = reading(bundle, own, language or bundle.shelf.language(voice))
        pieces = _pieces(bundle, _text(text), own, reader, report)
        head = list(islice(pieces, 2))
        if not head:
            raise InputError("the text is empty, or nothing of it can be spoken.")
        if len(head) > 1 and self._voice is None and own.get("sample") is None:
            drawn = np.random.SeedSequence().generate_state(1)[0]
            self._voice = bundle.speaker(int(drawn if self._seed is None else self._seed))
        self._parts = chain([self._part(0, head[0])], self._later(chain(head[1:], pieces)))

    def __iter__(self) -> Iterator[Part]:
        return self._parts

    def _later(self, pieces: Iterable[Piece]) -> Iterator[Part]:
        for number, piece in enumerate(pieces, 1):
            yield self._part(number, piece)

    def _part(self, number: int, piece: Piece) -> Part:
        seed = None if self._seed is None else self._seed + number
        own: Options = {**self._options, "seed": seed}
        return Part(piece, plan(self.bundle, piece.text, self._voice, own, self._on_step))


def _text(text: object) -> str | Iterator[str]:
    """What is spoken: a text, or what one comes in parts of; anything else is refused by name."""
    if isinstance(text, str):
        return require_text(text, "the text")
    if not isinstance(text, Iterable) or isinstance(text, bytes):
        raise InputError(f"the text is {type(text).__name__}; expected str, or an iterable of it.")
    return (require_text(block, "the text") for block in text)


def _pieces(
    bundle: Model,
    text: str | Iterable[str],
    options: Options,
    reader: TextOptions,
    report: Report | None,
) -> Iterator[Piece]:
    tokenizer = bundle.tokenizer
    return split_pieces(
        text,
        lambda part: len(tokenizer.encode(part)),
        piece_limit(bundle.manifest, options.get("piece_tokens")),
        reader,
        report,
        normalized=options.get("normalize") is False,
        apart=sentences_apart(bundle.manifest),
    )


class Joiner:
    """Joins the audio of pieces: what is missing of a pause comes before the next piece."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._pause: float | None = None
        self._quiet = 0

    def add(self, piece: Piece, chunks: Iterable[Floats]) -> Iterator[Floats]:
        """The silence before a piece, if it is not the first, and its ``chunks``."""
        for index, chunk in enumerate(chunks):
            if index == 0 and self._pause is not None:
                missing = round(self._pause * self._rate) - self._quiet
                if missing > 0:
                    yield np.zeros(missing, dtype=np.float32)
            self._quiet = trailing_quiet(chunk, 0 if index == 0 else self._quiet)
            yield chunk
        self._pause = piece.pause


def trailing_quiet(chunk: Floats, before: int) -> int:
    """Number of near-silent samples at the end of what was sent so far."""
    loud = np.flatnonzero(np.abs(chunk) > _QUIET)
    return len(chunk) - int(loud[-1]) - 1 if len(loud) else before + len(chunk)
