"""How the tests of the application speak to it."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from tests.chattts_onnx.serve.conftest import (
    HTTP,
    PATIENCE,
    STEPS,
    Running,
)

Start = Callable[..., Running]
SAMPLES = (2 * STEPS - 1) * 64
HELLO = {"text": "hello world", "voice": 1, "seed": 1}


def post(server: Running, path: str = "/v1/tts", **kwargs: Any) -> httpx.Response:
    return HTTP.post(server.url + path, timeout=PATIENCE, **kwargs)


def get(server: Running, path: str, **kwargs: Any) -> httpx.Response:
    return HTTP.get(server.url + path, timeout=PATIENCE, **kwargs)


def metric(server: Running, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(get(server, "/metrics").text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def expected(server: Running) -> np.ndarray:
    bundle = server.service.variants.find(None).bundle
    return bundle.say("hello world", voice=1, seed=1)


def hello_request() -> Any:
    from chattts_onnx.serve.requests import SpeechRequest

    return SpeechRequest("hello world", voice=1, seed=1)


def ask(server: Running, body: dict[str, Any]) -> socket.socket:
    """Send a request by hand; nothing is read."""
    data = json.dumps(body).encode()
    head = (
        "POST /v1/tts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    sock = socket.create_connection(("127.0.0.1", server.port))
    sock.sendall(head.encode() + data)
    return sock


def leave(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
