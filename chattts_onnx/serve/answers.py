"""Answers that several routes give: errors as JSON, and speech as it is made."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ..errors import AccessError, ChatTTSError, OverloadedError, StoppingError
from ..speech.timing import PieceTime
from .errors import status_of
from .speech import Item, Speech

log = logging.getLogger("chattts_onnx.serve")
# An answer tells what to correct; it does not grow with what was sent.
_MOST_MISTAKES = 5
_LONGEST_NAME = 60


def error_body(kind: str, message: str, status: int) -> dict[str, Any]:
    """The JSON of an error, in the shape that OpenAI's clients read."""
    return {"error": {"message": message, "type": kind, "code": status}}


def describe_error(error: BaseException) -> tuple[int, dict[str, Any]]:
    """An error's status and body; a fault of the server keeps its message to itself."""
    status, known = status_of(error), isinstance(error, ChatTTSError)
    message = str(error) if known else "the server failed; its log says more."
    return status, error_body(type(error).__name__, message, status)


def mistakes(found: Sequence[Any]) -> str:
    """Which fields pydantic found wrong, without their values."""
    parts = [
        f"{'.'.join(str(place)[:_LONGEST_NAME] for place in each['loc'])}: {each['msg']}"
        for each in found[:_MOST_MISTAKES]
    ]
    if len(found) > _MOST_MISTAKES:
        parts.append(f"and {len(found) - _MOST_MISTAKES} more")
    return "; ".join(parts)


def error_response(error: BaseException) -> JSONResponse:
    """An error as an answer, with its headers."""
    status, body = describe_error(error)
    headers = {}
    if isinstance(error, OverloadedError):
        headers["Retry-After"] = str(error.retry_after)
    elif status in (429, 503):
        headers["Retry-After"] = "5" if isinstance(error, StoppingError) else "10"
    if isinstance(error, AccessError):
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, status, headers)


def _plain(item: Item) -> bytes:
    assert not isinstance(item, PieceTime)  # times are asked for with a frame of their own
    return bytes(item)


class SpeechResponse(Response):
    """Sends a speech in chunks as they are made.

    The status waits for the first chunk, so that all that can go wrong before it has a status of
    its own.  What goes wrong later breaks the transfer off: a client never takes half an answer
    for a whole one.  A client who leaves ends the speech at once.
    """

    def __init__(
        self,
        speech: Speech,
        media_type: str,
        frame: Callable[[Item], bytes] | None = None,
        last: Callable[[], bytes] | None = None,
    ) -> None:
        super().__init__()
        self._speech = speech
        self._media_type = media_type
        self._frame = frame or _plain
        self._last = last or (lambda: b"")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(self._leave(receive))
        try:
            await self._stream(scope, receive, send, gone)
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await gone
            self._speech.cancel()

    async def _leave(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._speech.cancel()

    async def _stream(
        self, scope: Scope, receive: Receive, send: Send, gone: asyncio.Task[None]
    ) -> None:
        begun = False
        try:
            while (item := await self._speech.next()) is not None:
                if not begun:
                    await send(self._start())
                    begun = True
                if data := self._frame(item):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
        except Exception as error:
            if gone.done():
                return
            if not begun:
                await error_response(error)(scope, receive, send)
                return
            # Returning without the last message makes the server close the connection.
            log.warning("speech %s broke off: %s", self._speech.id, type(error).__name__)
            return
        if not begun:
            await send(self._start())
        await send({"type": "http.response.body", "body": self._last(), "more_body": False})

    def _start(self) -> dict[str, Any]:
        speech = self._speech
        headers = MutableHeaders(
            {
                "Content-Type": self._media_type,
                "Cache-Control": "no-store",
                "X-Request-Id": speech.id,
                "X-Sample-Rate": str(speech.sample_rate),
                "X-Seed": str(speech.seed),
                "X-Takes": str(speech.drawn),
                "X-Variant": speech.variant,
                # A proxy that gathers the whole answer would undo the streaming.
                "X-Accel-Buffering": "no",
            }
        )
        if speech.warnings:
            # a header holds no characters beyond Latin-1
            headers["X-Warning"] = (
                "; ".join(speech.warnings).encode("latin-1", "replace").decode("latin-1")
            )
        return {"type": "http.response.start", "status": 200, "headers": headers.raw}
