"""A bounded queue between the thread that makes audio and whoever listens, thread or coroutine."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Generic, TypeVar

from ..errors import SlowListenerError

T = TypeVar("T")


class ChunkBuffer(Generic[T]):
    """Holds items until their weights reach ``limit``; then ``put`` waits, ``stall`` seconds long.

    One producer, one consumer.  ``fail`` throws what is held away and raises on both sides, so an
    error is never mistaken for an end.
    """

    def __init__(self, limit: float, stall: float) -> None:
        self._limit = limit
        self._stall = stall
        self._items: deque[tuple[T, float]] = deque()
        self._held = 0.0
        self._ended = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._listener: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    @property
    def held(self) -> float:
        """Weight of what waits for the listener."""
        return self._held

    def put(self, item: T, weight: float) -> None:
        """Add one item; raises :class:`SlowListenerError` when there is no room for too long."""
        with self._changed:
            room = self._changed.wait_for(
                lambda: self._error is not None or self._held < self._limit, self._stall
            )
            if self._error is not None:
                raise self._error
            if not room:
                raise SlowListenerError(
                    f"the listener took nothing for {self._stall} s while {self._held:.1f} s of "
                    "audio waited; the request was ended."
                )
            self._items.append((item, weight))
            self._held += weight
            self._wake()

    def end(self) -> None:
        """Nothing more comes."""
        with self._changed:
            self._ended = True
            self._wake()

    def fail(self, error: BaseException) -> None:
        """End with ``error``; the first one counts, and none after the end was read."""
        with self._changed:
            if self._error is None and not (self._ended and not self._items):
                self._error = error
                self._items.clear()
                self._held = 0.0
            self._wake()

    def get(self) -> T | None:
        """The next item, None at the end; waits."""
        with self._changed:
            while not self._ready():
                self._changed.wait()
            return self._take()

    async def next(self) -> T | None:
        """As :meth:`get`, without holding up the event loop."""
        while True:
            with self._changed:
                if self._ready():
                    return self._take()
                loop = asyncio.get_running_loop()
                future: asyncio.Future[None] = loop.create_future()
                self._listener = (loop, future)
            await future

    def _ready(self) -> bool:
        return bool(self._items) or self._ended or self._error is not None

    def _take(self) -> T | None:
        if self._error is not None:
            raise self._error
        if not self._items:
            return None
        item, weight = self._items.popleft()
        self._held -= weight
        self._changed.notify_all()
        return item

    def _wake(self) -> None:
        self._changed.notify_all()
        if self._listener is not None:
            (loop, future), self._listener = self._listener, None
            if not loop.is_closed():
                loop.call_soon_threadsafe(_release, future)


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
