"""uvicorn's protocols: of HTTP, which lets go of clients who do not send their requests, and of
WebSockets, which logs nobody's query string."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from .files import SPARE

# Bytes a second that lengthen the time a request may take to arrive.
LEAST_RATE = 10_000
# Bytes of one message of a WebSocket.
LONGEST_MESSAGE = 1 << 16


def patient_for(seconds: float) -> type[H11Protocol]:
    """A protocol class for :class:`uvicorn.Config` that waits ``seconds`` for a request.

    uvicorn itself waits for ever for the end of a request's head and of its body, so that a few
    hundred connections that send a byte now and then, or belong to machines that have vanished,
    keep everybody else out.
    """

    class Patient(PatientProtocol):
        patience = seconds

    return Patient


class PatientProtocol(H11Protocol):
    """Closes a connection whose request is not complete ``patience`` seconds after it began (for
    the first one: after the connection was made), and a second later for each
    :data:`LEAST_RATE` bytes that came; and at once those beyond a multiple of the connections that
    are served, so that they do not use up the process's files."""

    patience = 20.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._came = 0
        self._upgraded = False
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, or close where far too many are connected."""
        super().connection_made(transport)
        most = self.limit_concurrency
        if most is not None and len(self.connections) > SPARE * most:
            transport.abort()
            return
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the time limit."""
        self._received()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what came, and see whether the request is complete."""
        self._came += len(data)
        super().data_received(data)
        if not self._upgraded:
            self._look()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """A conversation has limits of its own; see :mod:`.session`."""
        self._upgraded = True
        self._received()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        """The next request may have begun behind this one."""
        super().on_response_complete()
        self._look()

    def _look(self) -> None:
        # Once an answer is complete, uvicorn's own timer runs until the next byte.
        idle = self.timeout_keep_alive_task is not None
        if idle or self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._received()
        elif self._timer is None:
            self._expect()

    def _expect(self) -> None:
        self._began, self._came = time.monotonic(), 0
        self._timer = self.loop.call_later(self.patience, self._overdue)

    def _received(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _overdue(self) -> None:
        # The rest of a body that has been answered earns no time.
        earned = 0.0 if self.conn.our_state is h11.DONE else self._came / LEAST_RATE
        left = self._began + self.patience + earned - time.monotonic()
        if left > 0:
            self._timer = self.loop.call_later(left, self._overdue)
        else:
            self._timer = None
            self.transport.close()


class QuietWebSocket(WSProtocol):
    """uvicorn logs the address of each handshake, its query included; the guard logs the route.

    At shutdown the conversation is told (``state["drain"]``) and ends by itself.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _SILENT

    def shutdown(self) -> None:
        """Let the conversation end, where there is one."""
        drain = getattr(self, "scope", {}).get("state", {}).get("drain")
        if drain is None or self.disconnected or self.close_sent:
            super().shutdown()
        else:
            drain()


_SILENT = logging.getLogger("chattts_onnx.serve.websocket")
_SILENT.setLevel(logging.CRITICAL + 1)
