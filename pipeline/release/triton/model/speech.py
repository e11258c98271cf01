"""One request's speech: its pieces through the shared engine, as chunks while they are made."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from chattts_onnx.bundle import Bundle
from chattts_onnx.errors import InputError, QueueFullError, RequestCancelledError
from chattts_onnx.speech.engine import Engine, Ticket
from chattts_onnx.speech.narrate import bundle_pieces, silence, trailing_quiet
from chattts_onnx.speech.options import Options
from chattts_onnx.speech.windows import StreamOptions
from chattts_onnx.text import Piece

from .inputs import SpeechRequest

Floats = npt.NDArray[np.float32]

# How long a request that speaks already waits before it asks for a slot for its next piece again.
_RETRY_SECONDS = 0.05


class Speech:
    """Speech of one request; :meth:`cancel` may be called from any thread, at any time.

    The first piece is queued at once, so that a full queue or a bad option is told before any
    audio: raises :class:`~chattts_onnx.errors.QueueFullError` or
    :class:`~chattts_onnx.errors.InputError`.
    """

    def __init__(
        self,
        engine: Engine,
        bundle: Bundle,
        request: SpeechRequest,
        stream: StreamOptions | None = None,
    ) -> None:
        self._engine = engine
        self._bundle = bundle
        self._stream = stream
        self._lock = threading.Lock()
        self._cancelled = threading.Event()
        self._options: Options = {**request.options, "normalize": False}
        self._voice = bundle.speaker(request.voice)
        pieces = bundle_pieces(bundle, request.text, request.options)
        head = list(islice(pieces, 2))
        if not head:
            raise InputError("text holds nothing to speak; expected at least one word.")
        if len(head) > 1 and self._voice is None:
            # All pieces in one voice, drawn as in chattts_onnx.speech.narrate.
            seed = request.options.get("seed")
            drawn = np.random.SeedSequence().generate_state(1)[0] if seed is None else seed
            self._voice = bundle.speaker(int(drawn))
        self._pieces: Iterator[Piece] = chain(head, pieces)
        self._ticket = self._submit(head[0], 0)

    def cancel(self) -> None:
        """Give the slot back before the next step."""
        with self._lock:
            self._cancelled.set()
            self._ticket.cancel()

    def chunks(self) -> Iterator[Floats]:
        """Chunks float32 [samples] at the model's sample rate.

        Raises :class:`~chattts_onnx.errors.RequestCancelledError` after :meth:`cancel`.
        """
        quiet, pause = 0, 0.0
        for index, piece in enumerate(self._pieces):
            if index:
                self._proceed(piece, index)
            for number, chunk in enumerate(self._ticket.chunks(self._stream)):
                if index and not number:
                    yield from silence(self._bundle, pause, quiet)
                quiet = trailing_quiet(chunk, quiet if number else 0)
                yield chunk
            pause = piece.pause

    def _submit(self, piece: Piece, index: int) -> Ticket:
        seed = self._options.get("seed")
        own: Options = {**self._options, "seed": None if seed is None else seed + index}
        return self._engine.submit(piece.text, self._voice, **own)

    def _proceed(self, piece: Piece, index: int) -> None:
        """Queue a later piece, patiently: a full queue must not cut a speech that has begun."""
        while True:
            with self._lock:
                if self._cancelled.is_set():
                    raise RequestCancelledError("the request was cancelled.")
                try:
                    self._ticket = self._submit(piece, index)
                    return
                except QueueFullError:
                    pass
            self._cancelled.wait(_RETRY_SECONDS)
