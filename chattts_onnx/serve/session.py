"""A conversation over a WebSocket: text comes while it is written, speech goes while it is made.

From the client, as JSON: ``options`` (first, and again between speeches), ``text``, ``flush``,
``end`` and ``cancel``.  To it: audio as binary messages, and events as JSON; each speech begins
with ``speech.started`` and ends with one of ``speech.audio.done``, ``speech.cancelled`` and
``error``.  After an error the rest of its text is passed over, up to ``end``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from contextlib import suppress
from typing import Any

from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..audio.encode import make_encoder
from ..errors import (
    AccessError,
    ChatTTSError,
    InputError,
    RequestCancelledError,
    StoppingError,
    TimeLimitError,
    TooLargeError,
)
from ..speech.live import LiveText
from ..speech.timing import PieceTime
from .access import KeyRing
from .answers import describe_error, mistakes
from .errors import without_message
from .events import done_event
from .schemas import LiveBody
from .service import SpeechService
from .speech import Speech

log = logging.getLogger("chattts_onnx.serve")
# A language model writes some hundred pieces a second; who writes faster waits.
MESSAGES_PER_SECOND, BURST = 200.0, 400
# Speeches of one connection that may wait for the one before them.
MOST_QUEUED = 8
_BAD_DATA, _NOT_ALLOWED, _AWAY = 1007, 1008, 1001


class _Utterance:
    """One text and what is known of its speech."""

    def __init__(self, body: LiveBody) -> None:
        self.body, self.live = body, LiveText()
        self.characters = 0
        self.speech: Speech | None = None
        self.cancelled = False
        self.task: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        self.cancelled = True
        self.live.fail(RequestCancelledError("the request was cancelled."))
        if self.speech is not None:
            self.speech.cancel()


class Session:
    """Call :meth:`run` once, with a connection that was not accepted yet.

    ``keys`` are asked for the key of the first message where the handshake had none (``known``).
    """

    def __init__(
        self, socket: WebSocket, service: SpeechService, keys: KeyRing, known: bool
    ) -> None:
        self._socket, self._service = socket, service
        self._keys, self._known = keys, known
        self._body: LiveBody | None = None
        self._open: _Utterance | None = None
        self._said: list[_Utterance] = []
        self._allowance, self._filled = float(BURST), time.monotonic()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Serve the client until it leaves, is silent for too long, or breaks the rules."""
        self._socket.state.drain = self._stopping.set
        await self._socket.accept()
        code = 1000
        try:
            while message := await self._receive():
                await self._take(message)
        except WebSocketDisconnect:
            pass
        except ChatTTSError as error:
            code = _NOT_ALLOWED if isinstance(error, AccessError) else _BAD_DATA
            code = _AWAY if isinstance(error, (TimeLimitError, StoppingError)) else code
            await self._fail(error)
        finally:
            self._cancel()
            await self._finish()
            with suppress(Exception):
                await self._socket.close(code)

    async def _receive(self) -> dict[str, Any]:
        """The next message; raises what ends the connection."""
        settings = self._service.settings
        patience = settings.idle_seconds if self._known else settings.receive_seconds
        receiving = asyncio.create_task(self._socket.receive())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            while not receiving.done():
                waits = (receiving, stopping)
                await asyncio.wait(waits, timeout=patience, return_when="FIRST_COMPLETED")
                if stopping.done():
                    self._end()
                    await self._finish()
                    raise StoppingError("the server is shutting down; ask again soon.")
                # Who listens to the rest of a speech need not say anything.
                if not receiving.done() and not (self._said and self._open is None):
                    raise TimeLimitError(f"nothing came for {patience:g} s.")
        finally:
            receiving.cancel()
            stopping.cancel()
        message = receiving.result()
        if message["type"] != "websocket.receive":
            raise WebSocketDisconnect(message.get("code", 1005))
        await self._pace()
        try:
            found = json.loads(message.get("text") or "")
        except (ValueError, RecursionError) as error:
            raise InputError("a message is no JSON; expected an object with a type.") from error
        if not isinstance(found, dict):
            raise InputError("a message is no object; expected one with a type.")
        return found

    async def _pace(self) -> None:
        now = time.monotonic()
        gained = (now - self._filled) * MESSAGES_PER_SECOND
        self._allowance, self._filled = min(float(BURST), self._allowance + gained) - 1, now
        if self._allowance < 0:
            await asyncio.sleep(-self._allowance / MESSAGES_PER_SECOND)

    async def _take(self, message: dict[str, Any]) -> None:
        kind = message.pop("type", None)
        if kind == "options":
            await self._choose(message)
        elif not self._known or self._body is None:
            raise AccessError("the first message has to be options, with api_key where keys are.")
        elif kind == "text" and isinstance(message.get("text"), str):
            await self._write(message["text"])
        elif kind == "cancel":
            self._cancel()
        elif kind == "flush" or kind == "end":
            if self._open is not None:
                self._open.live.flush() if kind == "flush" else self._end()
        else:
            raise InputError("a message has no known type; expected options, text, flush, end or "
                             "cancel, and text as a string.")  # fmt: skip

    async def _choose(self, message: dict[str, Any]) -> None:
        try:
            body = LiveBody.model_validate(message)
        except ValidationError as error:
            await self._fail(InputError(mistakes(error.errors())))
            return
        if not self._known:
            self._keys.owner(None, body.api_key)
            self._known = True
        self._body = body
        self._end()

    async def _write(self, text: str) -> None:
        if self._open is None:
            if not text.strip():
                return
            if not self._service.ready:
                raise StoppingError("the server is shutting down; ask again soon.")
            if len(self._said) > MOST_QUEUED:
                await self._fail(TooLargeError(f"{MOST_QUEUED} speeches wait; let some end."))
                return
            assert self._body is not None
            before = self._said[-1].task if self._said else None
            self._open = _Utterance(self._body)
            self._said.append(self._open)
            self._open.task = asyncio.create_task(self._speak(self._open, before))
        utterance, most = self._open, self._service.settings.max_chars
        if utterance not in self._said:
            return  # it failed, and this is the rest of its text
        waiting = sum(each.live.pending for each in self._said)
        try:
            if waiting + len(text) > most:
                raise TooLargeError(
                    f"{waiting + len(text)} characters wait to be spoken; this server takes {most}."
                )
            utterance.live.write(text)
            utterance.characters += len(text)
        except InputError as error:
            utterance.live.fail(error)
            if utterance.speech is not None:
                utterance.speech.cancel(error)

    async def _finish(self) -> None:
        """Wait for all speeches to end."""
        for utterance in list(self._said):
            if utterance.task is not None:
                await utterance.task

    def _end(self) -> None:
        if self._open is not None:
            self._open.live.end()
            self._open = None

    def _cancel(self) -> None:
        self._open = None
        for utterance in self._said:
            utterance.cancel()

    async def _speak(self, utterance: _Utterance, before: asyncio.Task[None] | None) -> None:
        """Send one speech, after the one before; tells how it ended."""
        try:
            if before is not None:
                await before
            await self._send_speech(utterance)
        except (RequestCancelledError, WebSocketDisconnect):
            speech = utterance.speech
            with suppress(Exception):
                spoken = 0 if speech is None else speech.samples
                await self._send({"type": "speech.cancelled", "samples": spoken})
        except Exception as error:
            if not isinstance(error, ChatTTSError):
                log.error("a live speech failed", exc_info=without_message(error))
            with suppress(Exception):
                await self._fail(error)
        finally:
            self._said.remove(utterance)
            if utterance.speech is not None:
                utterance.speech.cancel()

    async def _send_speech(self, utterance: _Utterance) -> None:
        if utterance.cancelled:
            raise RequestCancelledError("the request was cancelled.")
        form = utterance.body.format
        request = utterance.body.request(utterance.live)
        speech = self._service.submit(request, lambda rate: make_encoder(form, rate), timed=True)
        utterance.speech = speech
        await self._send(
            {
                "type": "speech.started",
                "id": speech.id,
                "seed": speech.seed,
                "variant": speech.variant,
                "format": form,
                "sample_rate": speech.sample_rate,
            }
        )
        while (item := await speech.next()) is not None:
            if utterance.cancelled:
                raise RequestCancelledError("the request was cancelled.")
            if isinstance(item, PieceTime):
                await self._send(item.event())
            elif data := bytes(item):
                await self._socket.send_bytes(data)
        await self._send(done_event(speech, utterance.characters))

    async def _fail(self, error: BaseException) -> None:
        _, body = describe_error(error)
        with suppress(Exception):
            await self._send({"type": "error", **body})

    async def _send(self, event: dict[str, Any]) -> None:
        await self._socket.send_text(json.dumps(event, ensure_ascii=False))
