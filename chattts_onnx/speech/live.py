"""Text that is still being written: handed from who writes it to who speaks it."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from typing import Generic, TypeVar

from ..charset import require_text
from ..errors import InputError, RequestCancelledError

T = TypeVar("T")


class LiveText:
    """Write from any thread, iterate in the one that speaks; None asks for what is there.

    The iteration waits for text and ends with :meth:`end`, or by the error of :meth:`fail`.
    """

    def __init__(self) -> None:
        self._parts: deque[str | None] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._error: BaseException | None = None
        self.pending = 0
        """Characters that were not read yet."""

    def write(self, text: str) -> None:
        """Go on with ``text``; :class:`InputError` after the end."""
        require_text(text, "the text")
        with self._changed:
            if self._ended:
                raise InputError("the text has ended; begin another.")
            self._parts.append(text)
            self.pending += len(text)
            self._changed.notify_all()

    def flush(self) -> None:
        """Have what is there spoken, whether its clause has ended or not."""
        with self._changed:
            self._parts.append(None)
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing more comes."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """End the iteration by an error, at once."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def __iter__(self) -> Iterator[str | None]:
        while True:
            with self._changed:
                while not (self._parts or self._ended or self._error):
                    self._changed.wait()
                if self._error is not None:
                    raise self._error
                if not self._parts:
                    return
                part = self._parts.popleft()
                self.pending -= len(part or "")
            yield part


class Ahead(Generic[T]):
    """Takes from a source that may wait, in a thread of its own, so that others need not wait.

    At most ``most`` items are held; the source is read no further after :meth:`close`.
    """

    def __init__(self, source: Iterable[T], most: int = 2) -> None:
        self._source, self._most = source, most
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None
        threading.Thread(target=self._take, name="chattts-ahead", daemon=True).start()

    def poll(self) -> T | None:
        """The next item if it is there."""
        with self._changed:
            return self._pop()

    def next(self) -> T | None:
        """The next item, None at the end or after :meth:`close`; waits, and raises the source's
        error."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended or self._closed)
            if not self._items and self._error is not None and not self._closed:
                raise self._error
            return self._pop()

    def close(self) -> None:
        """Wake who waits; nothing more is given."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def _pop(self) -> T | None:
        self._changed.notify_all()
        return self._items.popleft() if self._items else None

    def _take(self) -> None:
        try:
            for item in self._source:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or len(self._items) < self._most)
                    if self._closed:
                        return
                    self._items.append(item)
                    self._changed.notify_all()
        except BaseException as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()


async def speak_live(
    text: AsyncIterable[str | None],
    speak: Callable[[LiveText], Iterator[T]],
    cancel: Callable[[], object] = lambda: None,
) -> AsyncIterator[T]:
    """What ``speak`` gives of a text that a coroutine writes, while it is written.

    ``speak`` runs in threads; ``cancel`` ends it when the loop is left early.
    """
    live = LiveText()

    async def write() -> None:
        try:
            async for part in text:
                if part is None:
                    live.flush()
                else:
                    live.write(part)
            live.end()
        except Exception as error:
            live.fail(error)

    writer = asyncio.create_task(write())
    chunks = speak(live)
    try:
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            yield chunk
    finally:
        live.fail(RequestCancelledError("the request was cancelled."))
        cancel()
        writer.cancel()
        with suppress(asyncio.CancelledError):
            await writer
