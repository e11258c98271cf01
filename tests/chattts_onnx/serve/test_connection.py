"""Connections on which a request does not arrive."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable

import pytest

from tests.chattts_onnx.serve.conftest import HTTP, PATIENCE, Running, until

Start = Callable[..., Running]
BODY = json.dumps({"text": "hello world", "format": "pcm"}).encode()
HEAD = b"POST /v1/tts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
HEAD += b"Content-Length: %d\r\n\r\n" % len(BODY)


def connect(server: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"POST /v1/t", HEAD, HEAD + BODY[:-1]])
def test_who_falls_silent_is_let_go(start_server: Start, sent: bytes) -> None:
    server = start_server(receive_seconds=0.2)
    with connect(server) as sock:
        sock.sendall(sent)
        # Raises TimeoutError where the server waits for ever; half a body may be answered.
        while sock.recv(1 << 16):
            pass
    until(lambda: not server.server.server_state.connections, "the connection is forgotten")


def test_the_second_request_of_a_connection_is_waited_for_no_longer(start_server: Start) -> None:
    server = start_server(receive_seconds=0.2)
    with connect(server) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(1 << 16).startswith(b"HTTP/1.1 200")
        sock.sendall(b"GET /hea")
        while sock.recv(1 << 16):
            pass


def test_no_part_of_an_answer_waits_for_an_acknowledgement(server: Running) -> None:
    with connect(server):
        connections = server.server.server_state.connections
        until(lambda: connections, "it is connected")
        [connection] = connections
        accepted = connection.transport.get_extra_info("socket")  # type: ignore[union-attr]
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_speech_may_take_longer_than_its_request(start_server: Start) -> None:
    server = start_server(receive_seconds=0.05)
    body = {"text": "hello world. " * 100, "format": "pcm"}
    answer = HTTP.post(f"{server.url}/v1/tts", json=body, timeout=PATIENCE)
    assert answer.status_code == 200 and answer.elapsed.total_seconds() > 0.05


def test_a_large_body_gets_the_time_it_needs(start_server: Start) -> None:
    server = start_server(receive_seconds=0.2)
    # 10 kB earn a second: it takes longer than the 0.2 s, and comes fast enough.
    body = BODY[:-1] + b" " * 40_000 + b"}"
    with connect(server) as sock:
        sock.sendall(HEAD.replace(b"%d" % len(BODY), b"%d" % len(body)))
        for start in range(0, len(body), 5_000):
            sock.sendall(body[start : start + 5_000])
            time.sleep(0.05)
        assert sock.recv(12) == b"HTTP/1.1 200"


def test_connections_far_beyond_those_served_are_closed_at_once(start_server: Start) -> None:
    server = start_server(max_connections=2, receive_seconds=PATIENCE)
    kept = [connect(server) for _ in range(4)]
    until(lambda: len(server.server.server_state.connections) == 4, "four are held")
    with connect(server) as fifth:
        assert fifth.recv(1) == b""
    assert len(server.server.server_state.connections) == 4
    for sock in kept:
        sock.close()
    until(lambda: not server.server.server_state.connections, "they are gone")
    assert HTTP.get(f"{server.url}/health").status_code == 200
