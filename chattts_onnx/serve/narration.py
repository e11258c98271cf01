"""A text of any length through an engine: piece by piece, joined with pauses, cancellable."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..bundle import Bundle
from ..errors import ChatTTSError, InputError
from ..speech.engine import Engine, Ticket
from ..speech.narrate import bundle_pieces, silence, trailing_quiet
from ..speech.options import Options
from ..speech.windows import StreamOptions
from ..text import Piece
from ..voices.vectors import Voice

Floats = npt.NDArray[np.float32]


class Narration:
    """Iterate for chunks float32 [samples]; ``cancel`` from any thread ends it with an error.

    The pieces of a text are spoken one after the other, so a long text holds one slot like a short
    one; the next piece is submitted when the one before it is generated, while its audio is still
    being decoded.  ``stream`` None gives each piece whole.  As in :func:`chattts_onnx.narrate`, one
    voice is drawn for all pieces, and piece i takes ``seed + i``.
    """

    def __init__(
        self,
        engine: Engine,
        bundle: Bundle,
        text: str,
        voice: Voice | None,
        stream: StreamOptions | None,
        options: Options,
    ) -> None:
        self._engine = engine
        self._bundle = bundle
        self._text = text
        self._voice = voice
        self._stream = stream
        self._options = options
        self._lock = threading.Lock()
        self._tickets: set[Ticket] = set()
        self._cancelled: BaseException | None = None

    def cancel(self, error: BaseException) -> None:
        """End before the next step; the iteration raises ``error``."""
        with self._lock:
            self._cancelled = self._cancelled or error
            tickets = list(self._tickets)
        for ticket in tickets:
            ticket.cancel()

    def __iter__(self) -> Iterator[Floats]:
        try:
            yield from self._speak()
        except ChatTTSError as error:
            if self._cancelled is not None and error is not self._cancelled:
                raise self._cancelled from error
            raise
        finally:
            for ticket in list(self._tickets):
                ticket.cancel()

    def _speak(self) -> Iterator[Floats]:
        pieces = bundle_pieces(self._bundle, self._text, self._options)
        piece = next(pieces, None)
        if piece is None:
            raise InputError("the text is empty; expected at least one word to speak.")
        following = next(pieces, None)
        voice = self._choose_voice(several=following is not None)
        ticket, number = self._submit(piece, voice, 0), 0
        pause, quiet = None, 0
        while True:
            later: Ticket | None = None
            for index, chunk in enumerate(self._chunks(ticket)):
                if index == 0 and pause is not None:
                    yield from silence(self._bundle, pause, quiet)
                quiet = trailing_quiet(chunk, 0 if index == 0 else quiet)
                yield chunk
                if later is None and following is not None and ticket.done:
                    later = self._submit(following, voice, number + 1)
            self._tickets.discard(ticket)
            if following is None:
                return
            pause = piece.pause
            number += 1
            ticket = later or self._submit(following, voice, number)
            piece, following = following, next(pieces, None)

    def _choose_voice(self, several: bool) -> Voice | None:
        if self._voice is not None or not several or self._options.get("sample") is not None:
            return self._voice
        seed = self._options.get("seed")
        drawn = np.random.SeedSequence().generate_state(1)[0] if seed is None else seed
        return self._bundle.speaker(int(drawn))

    def _submit(self, piece: Piece, voice: Voice | None, number: int) -> Ticket:
        seed = self._options.get("seed")
        own: Options = {
            **self._options,
            "normalize": False,
            "seed": None if seed is None else seed + number,
        }
        with self._lock:
            if self._cancelled is not None:
                raise self._cancelled
            ticket = self._engine.submit(piece.text, voice, **own)
            self._tickets.add(ticket)
        return ticket

    def _chunks(self, ticket: Ticket) -> Iterator[Floats]:
        if self._stream is not None:
            yield from ticket.chunks(self._stream)
        else:
            yield ticket.audio()
