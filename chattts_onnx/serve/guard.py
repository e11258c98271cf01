"""What stands before every request: body limits, keys, and a log without users' texts."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import ChatTTSError, QueueFullError, StoppingError, TooLargeError
from .access import KeyRing
from .answers import error_response
from .bodies import decoded
from .errors import without_message
from .origin import Origins
from .settings import ServeSettings

log = logging.getLogger("chattts_onnx.serve")
# A HEAD of these would speak for nobody; they answer it with 405.
_SPEECH = ("/v1/tts", "/v1/audio/speech")
# Bodies as short as those of speech have a place while their connection has one.
_SMALL = 1 << 16


class Guard:
    """ASGI middleware.  A body that is too long is refused by its declared length or, where it has
    none, as soon as it grows past the limit; it is never held whole.  Of the bytes that all bodies
    together may hold until they are answered, each key has an equal share."""

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app = app
        self._settings = settings
        self._keys = KeyRing(settings.api_keys)
        self._admin_keys = KeyRing(settings.admin_keys)
        self._pending: Counter[str] = Counter()
        self._sockets = 0
        self._origins = Origins(settings.host, settings.allowed_hosts, settings.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._converse(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started = 0, time.monotonic()
        method = scope["method"]
        if method == "HEAD" and not scope["path"].startswith(_SPEECH):
            scope["method"], send = "GET", _without_body(send)

        share = self._settings.max_pending_bytes // max(1, len(self._settings.api_keys))
        limited = _Limited(receive, self._limit(scope), self._pending, share)

        async def watched(message: Message) -> None:
            nonlocal status
            if limited.exceeded and not status:
                return  # what the application makes of half a body; the answer comes below
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        async def answer(error: Exception) -> None:
            limited.exceeded = None
            await error_response(error)(scope, receive, watched)

        try:
            limited.owner = self._admit(scope, limited.most)
            await self._app(scope, await decoded(scope, limited.receive), watched)
            if limited.exceeded and not status:
                await answer(limited.exceeded)
        except ChatTTSError as error:
            await answer(error)
        except Exception as error:
            # Raised further, it would be logged with its message, which may hold a user's words.
            log.error("%s failed", self._route(scope), exc_info=without_message(error))
            if not status:
                await answer(error)
        finally:
            limited.release()
            self._log(scope, method, status, time.monotonic() - started)

    async def _converse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket: its handshake is checked as a request is, and it counts as a connection."""
        started, headers = time.monotonic(), Headers(scope=scope)
        given = headers.get("authorization"), headers.get("x-api-key")
        status, self._sockets = 101, self._sockets + 1
        try:
            self._origins.check(headers)
            # Browsers send no headers here: who has none may give a key in the first message.
            known = self._keys.open or any(given)
            if known:
                self._keys.owner(*given)
            if self._sockets > self._settings.max_connections:
                raise StoppingError("as many connections are open as this server takes.")
            scope.setdefault("state", {}).update(keys=self._keys, known=known)
            await self._app(scope, receive, send)
        except ChatTTSError as error:
            answer = error_response(error)
            status = answer.status_code
            await answer(scope, receive, send)
        except Exception as error:
            status = 500
            log.error("%s failed", self._route(scope), exc_info=without_message(error))
        finally:
            self._sockets -= 1
            self._log(scope, "WebSocket", status, time.monotonic() - started)

    def _limit(self, scope: Scope) -> int:
        # The parts of a form go to the disk; any other body is held until it is complete.
        form = Headers(scope=scope).get("content-type", "").startswith("multipart/")
        upload = form and scope["path"].rstrip("/") == "/v1/batch"
        return self._settings.max_upload_bytes if upload else self._settings.max_body_bytes

    def _admit(self, scope: Scope, most: int) -> str:
        headers = Headers(scope=scope)
        self._origins.check(headers)
        path: str = scope["path"]
        given = headers.get("authorization"), headers.get("x-api-key")
        scope.setdefault("state", {})
        if path.startswith("/v1/"):
            scope["state"]["owner"] = self._keys.owner(*given)
        elif path.startswith("/admin/") and not self._admin_keys.open:
            self._admin_keys.owner(*given)
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > most:
            raise _too_large(most)
        return str(scope["state"].get("owner", ""))

    def _log(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        path = self._route(scope)
        level = logging.DEBUG if path in ("/health", "/ready", "/metrics") else logging.INFO
        log.log(level, "%s %s %d %.3f s", method, path, status, seconds)

    def _route(self, scope: Scope) -> str:
        """The path as declared: a query string holds the text, and so may a path of no route."""
        route: Any = scope.get("route")
        return str(getattr(route, "path", "(no route)"))


def _without_body(send: Send) -> Send:
    """A GET's answer as a HEAD's: its status and headers, and no body."""

    async def head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return head


class _Limited:
    def __init__(self, receive: Receive, most: int, pending: Counter[str], share: int) -> None:
        self._receive = receive
        self.most = most
        self.owner = ""
        self.exceeded: ChatTTSError | None = None
        self._seen = 0
        self._pending, self._share = pending, share

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self._seen += size
            self._pending[self.owner] += size
            if self._seen > self.most:
                self.exceeded = _too_large(self.most)
            elif self._seen > _SMALL and self._pending[self.owner] > self._share:
                self.exceeded = QueueFullError(
                    "too many requests are being received; try again later."
                )
            if self.exceeded is not None:
                raise self.exceeded
        return message

    def release(self) -> None:
        """The request is answered; nothing is held of its body."""
        self._pending[self.owner] -= self._seen


def _too_large(most: int) -> TooLargeError:
    return TooLargeError(f"the body is longer than the {most} bytes that this server takes.")
