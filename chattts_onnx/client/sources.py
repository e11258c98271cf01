"""Where a streamer's audio comes from: an engine in this process, or a server."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from ..errors import InputError, RequestCancelledError
from .errors import BrokenStreamError, ConnectionFailedError, remote_error

Floats = npt.NDArray[np.float32]
_READ = 1 << 14


class Source(Protocol):
    """One utterance: iterate once for chunks float32 [samples]; ``cancel`` from any thread.

    That of an engine in this process is a :class:`~chattts_onnx.speech.narration.Narration`.
    """

    sample_rate: int

    def __iter__(self) -> Iterator[Floats]: ...
    def cancel(self) -> None: ...


class Remote:
    """A server's address; opens a connection for each request, so threads may share it."""

    def __init__(self, url: str, api_key: str | None, timeout: float) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise InputError(f"{url} is no address: {error}.") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"{url} is no address of a server; expected http://host:port.")
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        self._kind = kinds[parts.scheme]
        self._place = parts.hostname, port
        self._prefix = parts.path.rstrip("/")
        self._timeout = timeout
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """The answer, its body unread; raises the error that it tells."""
        connection = self._kind(*self._place, timeout=self._timeout)
        headers = {**self._headers, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, self._prefix + path, data, headers)
            answer = connection.getresponse()
            if answer.status != 200:
                content = answer.read(1 << 16)
                raise remote_error(answer.status, content, answer.getheader("Retry-After"))
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self.unreachable(error) from error
        except BaseException:
            connection.close()
            raise
        return connection, answer

    def connect(self) -> tuple[socket.socket, str, str, Mapping[str, str]]:
        """A connection for another protocol, with the Host, the path's start and headers of it."""
        connection = self._kind(*self._place, timeout=self._timeout)
        try:
            connection.connect()
        except OSError as error:
            raise self.unreachable(error) from error
        name, port = self._place
        shown = f"[{name}]" if ":" in name else name
        host = shown if port is None else f"{shown}:{port}"
        return connection.sock, host, self._prefix, self._headers

    def unreachable(self, error: Exception) -> ConnectionFailedError:
        """The error of a server that can't be reached."""
        return ConnectionFailedError(
            f"{self._place[0]}:{self._place[1]} did not answer ({type(error).__name__}: "
            f"{error}). Is the server running there?"
        )

    def json(self, path: str) -> Any:
        """A JSON answer."""
        connection, answer = self.ask("GET", path)
        try:
            return json.loads(answer.read())
        finally:
            connection.close()


def samples_of(data: bytes) -> tuple[Floats, bytes]:
    """Samples of 16-bit PCM, and what is left of it: a network may part it within a sample."""
    whole = len(data) & ~1
    samples = np.frombuffer(data[:whole], dtype="<i2").astype(np.float32)
    return samples / np.float32(32767), data[whole:]


class RemoteSource:
    """An utterance from a server, as 16-bit PCM over a connection of its own."""

    def __init__(self, remote: Remote, body: Mapping[str, Any]) -> None:
        self._connection, self._answer = remote.ask("POST", "/v1/tts", {**body, "format": "pcm"})
        self._socket: socket.socket | None = self._connection.sock
        self.sample_rate = int(self._answer.getheader("X-Sample-Rate") or 24_000)
        self._cancelled = False

    def __iter__(self) -> Iterator[Floats]:
        rest = b""
        try:
            while data := self._read():
                samples, rest = samples_of(rest + data)
                if len(samples):
                    yield samples
        finally:
            self._connection.close()

    def cancel(self) -> None:
        self._cancelled = True
        # A thread that is reading wakes up; closing alone would leave it waiting.
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def _read(self) -> bytes:
        try:
            data = self._answer.read1(_READ)
            if not data and self._answer.length:
                raise http.client.IncompleteRead(b"", self._answer.length)
            return data
        except (OSError, http.client.HTTPException, ValueError) as error:
            if self._cancelled:
                raise RequestCancelledError("the request was cancelled.") from error
            raise BrokenStreamError(
                f"the audio broke off before its end ({type(error).__name__}); what was heard is "
                "not the whole text. The server's log says why."
            ) from error
