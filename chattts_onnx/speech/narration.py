"""A script through an engine: piece by piece, joined with pauses, cancellable."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..errors import ChatTTSError, QueueFullError, RequestCancelledError
from .engine import Engine, Ticket
from .live import Ahead
from .script import Joiner, Part, Script
from .takes import Takes
from .timing import Timings
from .windows import StreamOptions

Floats = npt.NDArray[np.float32]

# How long a speech that has begun waits before it asks for a slot for its next piece again.
_RETRY_SECONDS = 0.05


class Narration:
    """Iterate once for chunks float32 [samples]; ``cancel`` from any thread ends it with an error.

    The pieces of a text are spoken one after the other, so a long text holds one slot like a short
    one; the next piece is queued when the one before it is generated, while its audio is still
    being decoded.  ``stream`` None gives each piece whole.  A full queue refuses the first piece; a
    later one waits, since a speech that has begun must not be cut.  Of a ``live`` text the next
    piece is queued as soon as it is written.  ``takes`` counts how often the pieces that are done
    were drawn.
    """

    def __init__(
        self,
        engine: Engine,
        script: Script,
        stream: StreamOptions | None,
        timings: Timings | None = None,
    ) -> None:
        self.sample_rate = script.bundle.sample_rate
        self._engine = engine
        self._stream = stream
        self._joiner = Joiner(script, timings)
        self.takes = Takes()
        self._now: Ticket | None = None
        self._parts: Ahead[Part] | Iterator[Part] = Ahead(script) if script.live else iter(script)
        self._first: tuple[Part, Ticket] | None = None
        self._lock = threading.Lock()
        self._tickets: set[Ticket] = set()
        self._cancelled: BaseException | None = None
        self._woken = threading.Event()

    def start(self) -> None:
        """Queue the first piece now rather than when the first chunk is asked for.

        Raises :class:`QueueFullError`.
        """
        self._first = self._queue(self._next())

    @property
    def drawn(self) -> int:
        """Takes so far, that of the piece under way included."""
        now = self._now
        return self.takes.drawn + (0 if now is None else 1 + now.refused)

    def cancel(self, error: BaseException | None = None) -> None:
        """End before the next step; the iteration raises ``error``."""
        with self._lock:
            reason = error or RequestCancelledError("the request was cancelled.")
            self._cancelled = self._cancelled or reason
            tickets = list(self._tickets)
        self._woken.set()
        if isinstance(self._parts, Ahead):
            self._parts.close()
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
            if isinstance(self._parts, Ahead):
                self._parts.close()
            for ticket in list(self._tickets):
                ticket.cancel()

    def _speak(self) -> Iterator[Floats]:
        if self._first is None:
            self._first = self._queue(self._next())
        current, self._first = self._first, None
        while current is not None:
            part, ticket = current
            self._now = ticket
            following: Part | None = None
            later: Ticket | None = None
            for chunk in self._joiner.add(part.piece, self._chunks(ticket)):
                yield chunk
                if later is None and ticket.done:
                    following = following or self._written()
                    later = self._try(following)
            self.takes.add(ticket.request)
            self._now = None
            following = following or self._next()
            self._tickets.discard(ticket)
            while following is not None and later is None:
                later = self._try(following)
                if later is None:
                    self._woken.wait(_RETRY_SECONDS)
            current = None if following is None or later is None else (following, later)
        yield from self._joiner.finish()

    def _written(self) -> Part | None:
        """The next part, unless it is still being written."""
        return self._parts.poll() if isinstance(self._parts, Ahead) else next(self._parts, None)

    def _next(self) -> Part | None:
        """The next part, None after the last."""
        if not isinstance(self._parts, Ahead):
            return next(self._parts, None)
        part = self._parts.next()
        if self._cancelled is not None:
            raise self._cancelled
        return part

    def _queue(self, part: Part | None) -> tuple[Part, Ticket] | None:
        return None if part is None else (part, self._submit(part))

    def _try(self, part: Part | None) -> Ticket | None:
        """Queue a later piece; None when the queue is full."""
        try:
            return None if part is None else self._submit(part)
        except QueueFullError:
            return None

    def _submit(self, part: Part) -> Ticket:
        with self._lock:
            if self._cancelled is not None:
                raise self._cancelled
            ticket = self._engine.queue(part.passes)
            self._tickets.add(ticket)
        return ticket

    def _chunks(self, ticket: Ticket) -> Iterator[Floats]:
        if self._stream is not None:
            yield from ticket.chunks(self._stream)
        else:
            yield ticket.audio()
