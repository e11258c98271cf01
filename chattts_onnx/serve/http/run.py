"""Run the application until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import time
from types import FrameType

import uvicorn

from ...errors import InputError
from ..connection import LONGEST_MESSAGE, QuietWebSocket, patient_for
from ..files import ACCEPTED_AT_ONCE, LoopErrors, connections_allowed
from ..job_folders import JobFolders
from ..memory import memory_given_back
from ..service import SpeechService
from ..settings import ServeSettings
from ..signals import Signals
from .app import create_app

# What clients need to read the end of what was cancelled at the deadline.
_GRACE = 5
_LOOK = 0.05
# Connections that the system keeps until they are accepted.
_BACKLOG = 1024


class Server(uvicorn.Server):
    """SIGTERM and SIGINT stop gracefully: until what runs has ended, others are answered 503."""

    def __init__(self, config: uvicorn.Config, service: SpeechService) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take nothing new; a second SIGINT does not wait."""
        again, self.should_exit = self.should_exit, True
        self.force_exit = again and sig == signal.SIGINT
        # Once: a second signal may come in the midst of it.
        if not again:
            self._service.stop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and say where."""
        asyncio.get_running_loop().set_exception_handler(LoopErrors())
        await super().startup(sockets)
        for sock in sockets or []:
            # uvicorn's own backlog is how many are accepted at a time.
            sock.listen(_BACKLOG)
            host, port = sock.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            print(f"listening on http://{shown}:{port}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what runs end while others are told to ask elsewhere, then close."""
        self._service.stop()
        for connection in list(self.server_state.connections):
            if isinstance(connection, QuietWebSocket):
                connection.shutdown()  # a text that is still being written ends here
        limit = time.monotonic() + (self.config.timeout_graceful_shutdown or 0)
        while self._service.active and not self.force_exit and time.monotonic() < limit:
            await asyncio.sleep(_LOOK)
        await super().shutdown(sockets)


def make_server(settings: ServeSettings, service: SpeechService) -> Server:
    """A server over a service; for tests and for other programs."""
    config = uvicorn.Config(
        create_app(settings, service),
        http=patient_for(settings.receive_seconds),
        ws=QuietWebSocket,
        ws_max_size=LONGEST_MESSAGE,
        # A few bytes that unfold to megabytes would pass the limit above.
        ws_per_message_deflate=False,
        # The access log of uvicorn holds query strings, and so what users say.
        access_log=False,
        log_config=None,
        limit_concurrency=connections_allowed(settings.max_connections),
        backlog=ACCEPTED_AT_ONCE,
        timeout_graceful_shutdown=int(settings.drain_seconds) + _GRACE,
        server_header=False,
    )
    return Server(config, service)


def listen(settings: ServeSettings) -> socket.socket:
    """The socket to serve on; :class:`InputError` when the address is taken or not ours."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port)[0][0]
        sock = socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"cannot listen on {settings.host}:{settings.port} ({error}); choose another --port."
        ) from error
    # As asyncio does for sockets that it makes itself; accepted ones inherit it. Without it each
    # answer of a kept connection waits 40 ms for the client's system to acknowledge its head.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A listener who stops reading without closing is let go, with what the kernel holds for it.
        patience = int(1000 * settings.stall_seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
    return sock


def serve(settings: ServeSettings, signals: Signals | None = None) -> None:
    """Open the bundles and serve until SIGTERM or SIGINT; SIGHUP opens the bundles anew.

    Raises what :func:`chattts_onnx.open_bundle` does, and :class:`InputError` for the address.
    """
    JobFolders(settings.jobs_folder).close()
    with contextlib.ExitStack() as life:
        signals = signals or life.enter_context(Signals())
        life.enter_context(memory_given_back())
        sock = life.enter_context(contextlib.closing(listen(settings)))
        service = SpeechService(settings).start()
        server = make_server(settings, service)
        signals.exchange(service.reload)
        server.run(sockets=[sock])
