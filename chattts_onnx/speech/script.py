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

from ..audio.sound import Sound
from ..charset import require_text
from ..errors import InputError, VoiceError
from ..model import Model
from ..text import Piece, piece_limit, sentences_apart, split_pieces
from ..text.core.language import Spoken
from ..text.core.options import TextOptions
from ..text.core.report import Report
from ..text.directions import voices_named
from ..untrusted import brief_text
from ..voices.vectors import Voice
from .options import SpeechOptions
from .requests import OnStep, Options, Passes, check, plan, reading
from .timing import Timings

Floats = npt.NDArray[np.float32]

# What is quieter at a piece's end counts as part of the pause that follows it.
_QUIET = 0.005
# Seconds that a text takes in which nothing is to be said: punctuation alone, an emoji.
SILENCE = 0.25


@dataclass(frozen=True)
class Part:
    """One piece and the passes that speak it."""

    piece: Piece
    passes: Passes


class Script:
    """Iterate once for the :class:`Part` of each piece, made as it is asked for.

    ``text`` may be an iterable of its parts, such as an open file, and is read as it is spoken.
    ``live`` is for one that is still being written: nothing is waited for that is not needed, and
    None among its parts asks for what is there (see :func:`.split_pieces`).
    ``voice`` None draws one voice (by the seed) for all pieces where there are several, or may be.
    Piece i takes ``seed + i``.  What the text directs to another voice (``[voice:NAME]``) is spoken
    by that one: a seed, a name of the bundle's, a text form or a mix, never a file.  ``report``
    collects what normalisation did.  ``language`` is that of a voice given as a vector; a named
    one's is known.  ``sound`` is what is done to the audio.

    Raises :class:`InputError` or :class:`VoiceError` at once for what is wrong with the arguments,
    and when the text is blank.  ``silent`` tells that there is something, but nothing to say:
    punctuation alone, an emoji.
    """

    def __init__(
        self,
        bundle: Model,
        text: str | Iterable[str | None],
        voice: Voice | None,
        options: SpeechOptions,
        on_step: OnStep | None = None,
        report: Report | None = None,
        *,
        live: bool = False,
        language: Spoken | None = None,
    ) -> None:
        own = cast(Options, options)
        check(own)
        self.bundle = bundle
        self.sound = Sound.of(own)
        self._options: Options = {**own, "normalize": False}
        self.live = live
        self._seed, self._on_step = options.get("seed"), on_step
        self._voice = bundle.speaker(voice)
        text = _text(text)
        for name in sorted(voices_named(text)) if isinstance(text, str) else ():
            self._directed(name)
        reader = reading(bundle, own, language or bundle.shelf.language(voice))
        blank = _Blank()
        pieces = _pieces(bundle, blank.watch(text), own, reader, report, live)
        head = [] if live else list(islice(pieces, 2))
        if not (live or head) and blank:
            raise InputError("the text is empty; expected at least one word to speak.")
        self.silent = not (live or head)
        if (live or len(head) > 1) and self._voice is None and own.get("sample") is None:
            drawn = np.random.SeedSequence().generate_state(1)[0]
            self._voice = bundle.speaker(int(drawn if self._seed is None else self._seed))
        # The first one is made now, so that what is wrong with it is raised here.
        first = [self._part(0, piece) for piece in head[:1]]
        self._parts = chain(first, self._later(len(first), chain(head[1:], pieces)))

    def __iter__(self) -> Iterator[Part]:
        return self._parts

    def _later(self, start: int, pieces: Iterable[Piece]) -> Iterator[Part]:
        for number, piece in enumerate(pieces, start):
            yield self._part(number, piece)

    def _part(self, number: int, piece: Piece) -> Part:
        seed = None if self._seed is None else self._seed + number
        own: Options = {**self._options, "seed": seed}
        voice = self._voice
        if piece.voice is not None:
            voice, own["sample"] = self._directed(piece.voice), None
        return Part(piece, plan(self.bundle, piece.text, voice, own, self._on_step))

    def _directed(self, name: str) -> Floats | None:
        try:
            return self.bundle.shelf.shared(name)
        except VoiceError as error:
            raise VoiceError(f"[voice:{brief_text(name)}]: {error}") from error


class _Blank:
    """Whether nothing but blanks came by."""

    def __init__(self) -> None:
        self._blank = True

    def __bool__(self) -> bool:
        return self._blank

    def watch(self, text: str | Iterator[str | None]) -> str | Iterator[str | None]:
        if isinstance(text, str):
            self._look(text)
            return text
        return map(self._look, text)

    def _look(self, part: str | None) -> str | None:
        self._blank = self._blank and not (part and part.strip())
        return part


def _text(text: object) -> str | Iterator[str | None]:
    """What is spoken: a text, or what one comes in parts of; anything else is refused by name."""
    if isinstance(text, str):
        return require_text(text, "the text")
    if not isinstance(text, Iterable) or isinstance(text, bytes):
        raise InputError(f"the text is {type(text).__name__}; expected str, or an iterable of it.")
    return (part if part is None else require_text(part, "the text") for part in text)


def _pieces(
    bundle: Model,
    text: str | Iterable[str | None],
    options: Options,
    reader: TextOptions,
    report: Report | None,
    live: bool,
) -> Iterator[Piece]:
    tokenizer = bundle.tokenizer
    return split_pieces(
        text,
        lambda part: len(tokenizer.encode(part)),
        piece_limit(bundle.manifest, options.get("piece_tokens")),
        reader,
        report,
        normalized=options.get("normalize") is False,
        apart=options.get("apart") or sentences_apart(bundle.manifest),
        live=live,
    )


class Joiner:
    """Joins the audio of a script's pieces, its sound done to it: what is missing of a pause comes
    before the next piece, and the tempo holds for pauses as well.  ``timings`` hears when each
    piece is said.
    """

    def __init__(self, script: Script, timings: Timings | None = None) -> None:
        self._rate, self._sound = script.bundle.sample_rate, script.sound
        self._tempo = 1.0 if script.sound is None else script.sound.tempo
        self._timings = timings
        self._last: Piece | None = None
        self._quiet = 0
        self._samples = 0

    def add(self, piece: Piece, chunks: Iterable[Floats]) -> Iterator[Floats]:
        """The silence before a piece and its ``chunks``."""
        sounding = iter(chunks if self._sound is None else self._sound.apply(chunks, self._rate))
        first = next(sounding, None)
        if first is not None:
            between = 0.0 if self._last is None else max(self._last.pause, piece.least)
            yield from self._silence(piece.before + between)
            told: Iterator[Floats] = chain([first], sounding)
            if self._timings is not None:
                told = self._timings.follow(piece, told, self._samples, self._rate)
            for index, chunk in enumerate(told):
                self._quiet = trailing_quiet(chunk, 0 if index == 0 else self._quiet)
                self._samples += len(chunk)
                yield chunk
        self._last = piece

    def finish(self) -> Iterator[Floats]:
        """The silence that the text asks for after its last word, and a short one where nothing was
        said, so that a listener hears of its end.
        """
        if self._last is not None and self._last.after:
            yield from self._silence(self._last.after)
        if not self._samples:
            yield np.zeros(round(SILENCE * self._rate), dtype=np.float32)

    def _silence(self, seconds: float) -> Iterator[Floats]:
        missing = round(seconds / self._tempo * self._rate) - self._quiet
        if missing > 0:
            self._samples += missing
            yield np.zeros(missing, dtype=np.float32)


def trailing_quiet(chunk: Floats, before: int) -> int:
    """Number of near-silent samples at the end of what was sent so far."""
    loud = np.flatnonzero(np.abs(chunk) > _QUIET)
    return len(chunk) - int(loud[-1]) - 1 if len(loud) else before + len(chunk)
