"""Text of any length to speech: pieces in one voice, joined with pauses, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Unpack

import numpy as np
import numpy.typing as npt

from ..errors import ChatTTSError, InputError
from ..text import Piece, bundle_reading, piece_limit, sentences_apart, split_pieces
from ..text.report import Report
from ..voices.vectors import Voice
from .requests import OnStep, Options, plan, speak, speak_in_chunks
from .windows import StreamOptions

if TYPE_CHECKING:
    from ..bundle import Bundle

Floats = npt.NDArray[np.float32]

# Pieces generated together: more gain little on a CPU, and each holds a cache.
TOGETHER = 4
# What is quieter at a piece's end counts as part of the pause that follows it.
_QUIET = 0.005


def narrate(
    bundle: Bundle,
    text: str | Iterable[str],
    voice: Voice | None = None,
    *,
    stream: StreamOptions | None = None,
    on_step: OnStep | None = None,
    report: Report | None = None,
    **options: Unpack[Options],
) -> Iterator[Floats]:
    """Speech as chunks float32 [samples]; silence between pieces comes as chunks of its own.

    ``text`` may be an iterable of its parts, such as an open file.  With ``stream`` chunks come
    while a piece is generated; without, several pieces are generated at once.  ``voice`` None
    draws one voice (by the seed) for all pieces where there are several.  Piece i takes
    ``seed + i``.  ``report`` collects what normalisation did.

    Raises :class:`InputError` when there is nothing to speak.
    """
    if voice is not None:
        voice = bundle.speaker(voice)
    pieces = bundle_pieces(bundle, text, options, report)
    head = list(islice(pieces, 2))
    if not head:
        raise InputError("the text is empty; expected at least one word to speak.")
    seed = options.get("seed")
    if len(head) > 1 and voice is None and options.get("sample") is None:
        drawn = np.random.SeedSequence().generate_state(1)[0] if seed is None else seed
        voice = bundle.speaker(int(drawn))
    spoken: Options = {**options, "normalize": False}
    # What is wrong with the arguments is said now, not when the first chunk is asked for.
    plan(bundle, head[0].text, voice, spoken)[0](None)
    return _joined(bundle, chain(head, pieces), voice, spoken, stream, on_step)


def bundle_pieces(
    bundle: Bundle, text: str | Iterable[str], options: Options, report: Report | None = None
) -> Iterator[Piece]:
    """The pieces in which a bundle speaks ``text``."""
    tokenizer = bundle.tokenizer
    return split_pieces(
        text,
        lambda part: len(tokenizer.encode(part)),
        piece_limit(bundle.manifest, options.get("piece_tokens")),
        bundle_reading(bundle.manifest, options.get("text_options")),
        report,
        normalized=not options.get("normalize", True),
        apart=sentences_apart(bundle.manifest),
    )


def _joined(
    bundle: Bundle,
    pieces: Iterator[Piece],
    voice: Voice | None,
    options: Options,
    stream: StreamOptions | None,
    on_step: OnStep | None,
) -> Iterator[Floats]:
    seed, done, quiet = options.get("seed"), 0, 0
    pause: float | None = None
    while group := list(islice(pieces, 1 if stream else TOGETHER)):
        own: Options = {**options, "seed": None if seed is None else seed + done}
        try:
            for piece, chunk, first in _group(bundle, group, voice, own, stream, on_step):
                if first and pause is not None:
                    yield from silence(bundle, pause, quiet)
                quiet = trailing_quiet(chunk, 0 if first else quiet)
                pause = piece.pause
                yield chunk
        except ChatTTSError as error:
            if done + len(group) > 1:
                error.add_note(f"while speaking pieces {done + 1} to {done + len(group)}")
            raise
        done += len(group)


def _group(
    bundle: Bundle,
    group: list[Piece],
    voice: Voice | None,
    options: Options,
    stream: StreamOptions | None,
    on_step: OnStep | None,
) -> Iterator[tuple[Piece, Floats, bool]]:
    """Each chunk with its piece and whether it is the piece's first."""
    if stream is None:
        texts = [piece.text for piece in group]
        for piece, audio in zip(group, speak(bundle, texts, voice, options, on_step), strict=True):
            yield piece, audio, True
        return
    for piece in group:
        chunks = speak_in_chunks(bundle, piece.text, voice, options, stream, on_step)
        for index, chunk in enumerate(chunks):
            yield piece, chunk, index == 0


def silence(bundle: Bundle, pause: float, quiet: int) -> Iterator[Floats]:
    """What is missing from ``pause`` seconds after ``quiet`` samples that were near silence."""
    samples = round(pause * bundle.sample_rate) - quiet
    if samples > 0:
        yield np.zeros(samples, dtype=np.float32)


def trailing_quiet(chunk: Floats, before: int) -> int:
    """Number of near-silent samples at the end of what was sent so far."""
    loud = np.flatnonzero(np.abs(chunk) > _QUIET)
    return len(chunk) - int(loud[-1]) - 1 if len(loud) else before + len(chunk)
