"""A lock with an order: who is most urgent goes next, and nobody is overtaken by an equal."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Lets ``places`` threads in at a time, the lowest ``urgency`` first, then by arrival.

    ``threading.Lock`` keeps no order: a thread that takes it again at once may starve the others.
    """

    def __init__(self, places: int = 1) -> None:
        self._lock = threading.Lock()
        self._free = places
        self._arrivals = 0
        self._waiting: list[tuple[float, int, threading.Event]] = []

    @contextmanager
    def turn(self, urgency: float = 0.0) -> Iterator[None]:
        """Wait for a place and hold it."""
        self._enter(urgency)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, urgency: float) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = threading.Event()
            self._arrivals += 1
            heapq.heappush(self._waiting, (urgency, self._arrivals, mine))
        mine.wait()

    def _leave(self) -> None:
        with self._lock:
            if self._waiting:
                # The place goes over without becoming free, so that nobody slips in between.
                heapq.heappop(self._waiting)[2].set()
            else:
                self._free += 1
