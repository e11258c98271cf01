"""An utterance from a server whose text is still being written, over a WebSocket."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, RequestCancelledError
from ..speech.timing import Timings, read_event
from .errors import BrokenStreamError, remote_error
from .sources import Remote, samples_of

if TYPE_CHECKING:
    from wsproto.events import Event

Floats = npt.NDArray[np.float32]
_READ = 1 << 14
_PATH = "/v1/tts/stream"


class LiveSource:
    """Sends ``text`` from a thread of its own; iterate for chunks float32 [samples].

    An error of ``text`` is raised by the iteration, and ends the speech at the server.
    """

    sample_rate = 24_000

    def __init__(
        self,
        remote: Remote,
        options: Mapping[str, Any],
        text: Iterable[str | None],
        timings: Timings | None = None,
    ) -> None:
        self._text, self._timings = text, timings
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._cancelled = self._written = False
        self._socket, self._connection = _connect(remote)
        self._send({"type": "options", **options})
        threading.Thread(target=self._write, name="chattts-text", daemon=True).start()

    def __iter__(self) -> Iterator[Floats]:
        rest = b""
        try:
            for event in self._events():
                data = getattr(event, "data", None)
                if isinstance(data, str):
                    if self._told(json.loads(data)):
                        return
                elif data:
                    samples, rest = samples_of(rest + bytes(data))
                    if len(samples):
                        yield samples
        finally:
            self._close()

    def cancel(self) -> None:
        """End it; the server frees its slot before the next step."""
        self._cancelled = True
        with suppress(OSError):
            self._send({"type": "cancel"})
        self._close()

    def _told(self, event: dict[str, Any]) -> bool:
        """Take an event; whether it is the last."""
        kind = event["type"]
        if kind == "speech.started":
            self.sample_rate = event["sample_rate"]
        elif kind == "error":
            raise remote_error(event["error"]["code"], json.dumps(event).encode(), None)
        elif kind == "speech.cancelled":
            raise self._error or RequestCancelledError("the request was cancelled.")
        elif self._timings is not None and kind.startswith("speech.piece."):
            self._timings.add(read_event(event))
        return kind == "speech.audio.done"

    def _write(self) -> None:
        try:
            for part in self._text:
                self._send({"type": "flush"} if part is None else {"type": "text", "text": part})
            self._written = True
            self._send({"type": "end"})
        except BaseException as error:
            self._error = self._error or error
            with suppress(OSError):
                self._send({"type": "cancel"})

    def _send(self, message: Mapping[str, Any]) -> None:
        from wsproto.events import TextMessage

        with self._lock:
            data = self._connection.send(TextMessage(json.dumps(message, ensure_ascii=False)))
            self._socket.sendall(data)

    def _events(self) -> Iterator[Event]:
        """Whole messages, until the connection ends."""
        from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

        came, texts = b"", ""
        while True:
            with self._lock:
                if came:
                    self._connection.receive_data(came)
                events = list(self._connection.events())
            for event in events:
                if isinstance(event, Ping):
                    with self._lock:
                        self._socket.sendall(self._connection.send(event.response()))
                elif isinstance(event, TextMessage):
                    texts += event.data
                    if event.message_finished:
                        yield TextMessage(texts)
                        texts = ""
                elif isinstance(event, BytesMessage):
                    yield event
                elif isinstance(event, CloseConnection):
                    raise self._broken(f"closed with {event.code}")
            came = self._read()

    def _read(self) -> bytes:
        while True:
            try:
                if data := self._socket.recv(_READ):
                    return data
            except TimeoutError:
                if not self._written:
                    continue  # nothing to be said was written yet
                raise self._broken("no audio in time") from None
            except OSError as error:
                raise self._broken(type(error).__name__) from error
            raise self._broken("closed")

    def _broken(self, why: str) -> Exception:
        if self._cancelled:
            return RequestCancelledError("the request was cancelled.")
        return BrokenStreamError(
            f"the audio broke off before its end ({why}); what was heard is not the whole text. "
            "The server's log says why."
        )

    def _close(self) -> None:
        # A thread that is reading wakes up; closing alone would leave it waiting.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def _connect(remote: Remote) -> tuple[socket.socket, Any]:
    """The socket after the handshake, and its protocol."""
    try:
        from wsproto import ConnectionType, WSConnection
        from wsproto.events import AcceptConnection, RejectConnection, RejectData, Request
    except ImportError as error:
        raise InputError(
            "text that is still being written goes to a server over a WebSocket, which needs "
            "wsproto. Install chattts-onnx[serve]."
        ) from error
    sock, host, prefix, headers = remote.connect()
    connection = WSConnection(ConnectionType.CLIENT)
    extra = [(name.encode(), value.encode()) for name, value in headers.items()]
    try:
        request = Request(host=host, target=prefix + _PATH, extra_headers=extra)
        sock.sendall(connection.send(request))
        status, body = 0, b""
        while data := sock.recv(_READ):
            connection.receive_data(data)
            for event in connection.events():
                if isinstance(event, AcceptConnection):
                    return sock, connection
                if isinstance(event, RejectConnection):
                    status = event.status_code
                elif isinstance(event, RejectData):
                    body += event.data
                    if event.body_finished:
                        raise remote_error(status, body, None)
        raise remote_error(status or 502, body, None)
    except OSError as error:
        sock.close()
        raise remote.unreachable(error) from error
    except BaseException:
        sock.close()
        raise
