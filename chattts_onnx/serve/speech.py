"""A request under way: its audio as it comes, and the way to end it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import RequestCancelledError
from ..speech.narration import Narration
from ..speech.takes import Takes
from ..speech.timing import PieceTime
from .buffer import ChunkBuffer

Floats = npt.NDArray[np.float32]
Item: TypeAlias = "bytes | Floats | PieceTime"


class Speech:
    """What :meth:`SpeechService.submit` returns.

    Listen with :meth:`next` from a coroutine or by iterating from a thread; each item is what the
    request's ``encode`` made of a chunk.  Errors are raised there, never turned into silence.
    """

    def __init__(self, variant: str, seed: int, buffer: ChunkBuffer[Item]) -> None:
        self.id = secrets.token_hex(8)
        self.variant = variant
        self.seed = seed
        self.sample_rate = 0
        self.warnings: tuple[str, ...] = ()
        self.started = time.monotonic()
        self.first_audio: float | None = None
        self.samples = 0
        self.buffer = buffer
        self._lock = threading.Lock()
        self._narration: Narration | None = None
        self._cancelled: BaseException | None = None

    @property
    def takes(self) -> Takes:
        """How often the pieces that are done were drawn."""
        return Takes() if self._narration is None else self._narration.takes

    @property
    def drawn(self) -> int:
        """Takes so far, that of the piece under way included."""
        return 0 if self._narration is None else self._narration.drawn

    @property
    def elapsed(self) -> float:
        """Seconds since it was admitted."""
        return time.monotonic() - self.started

    async def next(self) -> Item | None:
        """The next item, None at the end; raises the request's error."""
        return await self.buffer.next()

    def items(self) -> Iterator[Item]:
        """All of it, times included; leaving the loop early cancels the request."""
        try:
            while (item := self.buffer.get()) is not None:
                yield item
        finally:
            self.cancel()

    def __iter__(self) -> Iterator[bytes | Floats]:
        return (item for item in self.items() if not isinstance(item, PieceTime))

    def cancel(self, error: BaseException | None = None) -> None:
        """End it before the next step; harmless when it is done."""
        reason = error or RequestCancelledError("the request was cancelled.")
        with self._lock:
            self._cancelled = self._cancelled or reason
            narration = self._narration
        self.buffer.fail(reason)
        if narration is not None:
            narration.cancel(reason)

    def run(
        self,
        narration: Narration,
        encode: Callable[[Floats], bytes | Floats],
        finish: Callable[[], bytes],
        on_first: Callable[[], None],
    ) -> None:
        """Make the audio; in the producing thread.  Raises what ended it."""
        with self._lock:
            self._narration = narration
            cancelled = self._cancelled
        if cancelled is not None:
            raise cancelled

        def send(item: bytes | Floats, seconds: float) -> None:
            if not len(item):
                return  # of a format that is sent when all is there
            self.buffer.put(item, seconds)
            if self.first_audio is None:
                self.first_audio = self.elapsed
                on_first()

        for chunk in narration:
            self.samples += len(chunk)
            send(encode(chunk), len(chunk) / self.sample_rate)
        send(finish(), 0.0)
        self.buffer.end()
