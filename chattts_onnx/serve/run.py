"""Run the application until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from types import FrameType

import uvicorn

from ..errors import ChatTTSError, InputError
from .app import create_app
from .connection import patient_for
from .jobs import jobs_folder
from .memory import memory_given_back
from .service import SpeechService
from .settings import ServeSettings

log = logging.getLogger("chattts_onnx.serve")

# What clients need to read the end of what was cancelled at the deadline.
_GRACE = 5


class Server(uvicorn.Server):
    """SIGTERM and SIGINT stop gracefully, SIGHUP opens the bundles anew."""

    def __init__(self, config: uvicorn.Config, service: SpeechService) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take nothing new; a second SIGINT does not wait."""
        self._service.stop()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and say where."""
        await super().startup(sockets)
        if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
        for sock in sockets or []:
            host, port = sock.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            print(f"listening on http://{shown}:{port}", flush=True)

    def _reload(self) -> None:
        def work() -> None:
            try:
                self._service.reload()
            except ChatTTSError as error:
                log.error("bundles were not exchanged: %s", error)

        threading.Thread(target=work, name="chattts-reload", daemon=True).start()


def make_server(settings: ServeSettings, service: SpeechService) -> Server:
    """A server over a service; for tests and for other programs."""
    config = uvicorn.Config(
        create_app(settings, service),
        http=patient_for(settings.receive_seconds),
        # The access log of uvicorn holds query strings, and so what users say.
        access_log=False,
        log_config=None,
        limit_concurrency=settings.max_connections,
        timeout_graceful_shutdown=int(settings.drain_seconds) + _GRACE,
        server_header=False,
    )
    return Server(config, service)


def listen(settings: ServeSettings) -> socket.socket:
    """The socket to serve on; :class:`InputError` when the address is taken or not ours."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port)[0][0]
        sock = socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"cannot listen on {settings.host}:{settings.port} ({error}); choose another --port."
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # A listener who stops reading without closing is let go, with what the kernel holds for it.
        patience = int(1000 * settings.stall_seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
    return sock


def serve(settings: ServeSettings) -> None:
    """Open the bundles and serve until SIGTERM or SIGINT.

    Raises what :func:`chattts_onnx.open_bundle` does, and :class:`InputError` for the address.
    """
    with contextlib.ExitStack() as tried:
        jobs_folder(settings, tried)
    with memory_given_back(), contextlib.closing(listen(settings)) as sock:
        service = SpeechService(settings).start()
        server = make_server(settings, service)
        server.run(sockets=[sock])
