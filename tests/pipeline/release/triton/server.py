"""A real tritonserver on free ports, and a client of its gRPC stream."""

from __future__ import annotations

import os
import queue
import re
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton

from pipeline.core.process import Process
from pipeline.release.triton.model.inputs import FIELDS

ROOT = Path(__file__).resolve().parents[4]
BINARY = Path(os.environ.get("TRITON_VENV", ROOT / ".venv-triton")) / "bin/tritonserver"
# No step of a test takes as long on any machine.
GENEROUS_SECONDS = 120.0
SPEECH = "chattts"
_TYPES = {
    "BYTES": np.object_,
    "BOOL": np.bool_,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP32": np.float32,
}
_INPUTS = {field.name: field.dtype[5:].replace("STRING", "BYTES") for field in FIELDS}


class Server:
    """A running server."""

    def __init__(self, process: Process, ports: list[int]) -> None:
        self.process = process
        self._ports = ports

    def client(self) -> triton.InferenceServerClient:
        """A new connection."""
        return triton.InferenceServerClient(f"127.0.0.1:{self._ports[1]}")

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric's values over the labels that are not given."""
        url = f"http://127.0.0.1:{self._ports[2]}/metrics"
        with urllib.request.urlopen(url, timeout=GENEROUS_SECONDS) as answer:
            text = answer.read().decode()
        found = re.findall(rf"^{name}\{{(.*)\}} (\S+)$", text, re.MULTILINE)
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(float(value) for seen, value in found if all(w in seen for w in wanted))

    def outcomes(self, outcome: str) -> float:
        """Requests that ended so."""
        return self.metric("chattts_requests_total", outcome=outcome)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Until a state is reached."""
        deadline = time.monotonic() + GENEROUS_SECONDS
        while not condition():
            if self.process.status is not None or time.monotonic() > deadline:
                raise AssertionError(f"tritonserver:\n{self.process.output}")
            time.sleep(0.02)


class Stream:
    """One client with a stream of its own; answers are collected as they come."""

    def __init__(self, server: Server) -> None:
        self._client = server.client()
        self._answers: queue.Queue[tuple[Any, Exception | None]] = queue.Queue()
        self._client.start_stream(lambda result, error: self._answers.put((result, error)))

    def send(self, outputs: tuple[str, ...] = ("audio",), **values: Any) -> None:
        """Ask for speech; inputs that are not named are left out."""
        self._client.async_stream_infer(
            SPEECH,
            [tensor(name, value) for name, value in values.items()],
            outputs=[triton.InferRequestedOutput(name) for name in outputs],
            enable_empty_final_response=True,
        )

    def chunks(self, output: str = "audio") -> Iterator[np.ndarray]:
        """Chunks of one request until its final answer; an error is raised."""
        while True:
            result, error = self._answers.get(timeout=GENEROUS_SECONDS)
            if error is not None:
                raise error
            if result.as_numpy(output) is not None:
                yield result.as_numpy(output)
            if result.get_response().parameters["triton_final_response"].bool_param:
                return

    def say(self, **values: Any) -> np.ndarray:
        """Speech of one request."""
        self.send(**values)
        return np.concatenate(list(self.chunks()))

    def close(self, cancel: bool = False) -> None:
        """End the stream; ``cancel`` does not wait for what runs."""
        self._client.stop_stream(cancel_requests=cancel)
        self._client.close()


def tensor(name: str, value: Any) -> triton.InferInput:
    """An input [1]."""
    kind = _INPUTS[name]
    if isinstance(value, str):
        value = value.encode("utf-8")
    made = triton.InferInput(name, [1], kind)
    made.set_data_from_numpy(np.array([value], dtype=_TYPES[kind]))
    return made


@contextmanager
def running(repository: Path) -> Iterator[Server]:
    """A server that is ready, and stopped at the end."""
    for _ in range(5):
        ports = _free_ports(3)
        named = zip(("http", "grpc", "metrics"), ports, strict=True)
        options = [f"--{name}-{key}" for name, port in named
                   for key in (f"port={port}", "address=127.0.0.1")]  # fmt: skip
        # What is written must be complete: nothing is filled in.
        options += ["--disable-auto-complete-config", "--exit-timeout-secs=10"]
        command = [BINARY, f"--model-repository={repository}", *options]
        with Process(command, os.environ, grace=GENEROUS_SECONDS) as process:
            server = Server(process, ports)
            if _ready(server):
                yield server
                return
    raise AssertionError(f"tritonserver found no free ports in {repository}")


def _ready(server: Server) -> bool:
    """Whether it gets ready; not where another program took one of the ports in between."""
    client, process = server.client(), server.process
    deadline = time.monotonic() + GENEROUS_SECONDS
    while time.monotonic() < deadline and process.status is None:
        try:
            if client.is_server_ready():
                return True
        except triton.InferenceServerException:
            time.sleep(0.1)
    said = process.output + process.errors
    if "Address already in use" in said or "failed to bind" in said.lower():
        return False
    raise AssertionError(f"tritonserver did not become ready:\n{said}")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
