"""What signals do from the first moment of a server on; imports nothing that takes time."""

from __future__ import annotations

import logging
import queue
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

log = logging.getLogger("chattts_onnx.serve")


class Signals:
    """A context in which SIGTERM ends the program with status 0, as it does once requests are
    served, and SIGHUP is kept until :meth:`exchange` says what to do: once for any number that
    came meanwhile.
    """

    def __init__(self) -> None:
        # Its put may be interrupted by another signal, which Event.set may not.
        self._hangups: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            handlers = {"SIGTERM": self._terminate, "SIGHUP": self._hang_up}
            for name, handler in handlers.items():
                if number := getattr(signal, name, None):
                    self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._hangups.put(False)

    def exchange(self, reload: Callable[[], object]) -> None:
        """Call ``reload`` in a thread of its own after each SIGHUP, those before now included."""
        threading.Thread(
            target=self._exchange, args=(reload,), name="chattts-reload", daemon=True
        ).start()

    def _exchange(self, reload: Callable[[], object]) -> None:
        asked = True
        while asked:
            asked = self._hangups.get()
            while asked and not self._hangups.empty():
                asked = self._hangups.get()
            if asked:
                try:
                    reload()
                except Exception as error:
                    log.error("bundles were not exchanged: %s", error)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        self._hangups.put(True)
