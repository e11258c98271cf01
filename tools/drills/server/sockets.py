"""Requests by hand, for clients that no library would be."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


def request(body: dict[str, Any], path: str = "/v1/tts") -> bytes:
    """A POST with a JSON body."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


@contextmanager
def connections(
    port: int, count: int, receive_buffer: int | None = None
) -> Iterator[list[socket.socket]]:
    """Open ``count`` connections; what is left of them is reset in the end."""
    with contextlib.ExitStack() as stack:
        made = []
        for _ in range(count):
            sock = socket.socket()
            stack.callback(reset, sock)
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.connect(("127.0.0.1", port))
            made.append(sock)
        yield made


def reset(sock: socket.socket) -> None:
    """Close at once, with what is still under way."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def is_closed(sock: socket.socket) -> bool:
    """Whether the server ended the connection; reads and drops what came."""
    sock.setblocking(False)
    try:
        while sock.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def exchange(port: int, pieces: Iterable[bytes], timeout: float) -> int | None:
    """Send all ``pieces`` and read the answer; its status, None where there is none.

    Raises :class:`TimeoutError` when the server neither answers nor closes.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
        with contextlib.suppress(ConnectionError):
            # A server may refuse before it has heard everything.
            for piece in pieces:
                sock.sendall(piece)
        answer = http.client.HTTPResponse(sock)
        try:
            answer.begin()
            answer.read()
        except (http.client.HTTPException, ConnectionError):
            return None
        return answer.status
