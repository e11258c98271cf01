"""A bundle whose utterances have a known length, and real servers over it on loopback sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from chattts_onnx.format.manifest import Manifest
from chattts_onnx.serve.http.run import Server, listen, make_server
from chattts_onnx.serve.service import SpeechService
from chattts_onnx.serve.settings import ServeSettings
from tests.chattts_onnx import tiny_bundle

STEPS = 60
PATIENCE = 60.0
# One client for all requests: making one takes longer than the tiny bundle's speech.  Connections
# are not kept, so that none is reused just when its server closes it.
HTTP = httpx.Client(
    timeout=PATIENCE,
    verify=False,
    trust_env=False,
    limits=httpx.Limits(max_keepalive_connections=0),
)


@pytest.fixture(scope="session")
def steady_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle, speaking 60 steps of every piece."""
    folder = tmp_path_factory.mktemp("served") / "steady"
    build_steady(folder)
    return folder


def build_steady(folder: Path, steps: int = STEPS, note: str = "") -> Path:
    tiny_bundle.build(folder)
    manifest = Manifest.load(folder)
    code = {**manifest.generation["code"], "max_new_tokens": steps, "min_new_tokens": steps}
    generation = {**manifest.generation, "code": code}
    replace(manifest, generation=generation, notes={"note": note}).write(folder)
    return folder


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for a state; the deadline is for a broken program, not for a slow machine."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.005)


def settings_for(path: Path, **changes: object) -> ServeSettings:
    defaults: dict[str, object] = {
        "host": "127.0.0.1",
        "port": 0,
        "slots": 4,
        "queue": 16,
        "threads": 1,
        "no_verify": True,
        "first_chunk": 4,
        "max_chunk": 16,
        "drain_seconds": PATIENCE,
    }
    bundles = changes.pop("bundles", None) or {"tiny": path}
    return ServeSettings(bundles=bundles, **{**defaults, **changes})  # type: ignore[arg-type]


class Gate:
    """Lets an engine step only as often as it is told; counts the steps."""

    def __init__(self, service: SpeechService, variant: str | None = None) -> None:
        self.engine = service.variants.find(variant).engine
        self._turns = self.engine._step_turns
        self._allowed = threading.Semaphore(0)
        self._open = threading.Event()
        self.steps = 0
        self.engine._step_turns = self  # type: ignore[assignment]

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Stands before the engine's turn, so that other engines go on."""
        while not (self._open.is_set() or self.engine._closed):
            if self._allowed.acquire(timeout=0.01):
                break
        with self._turns.turn():
            yield
        self.steps += 1

    def allow(self, steps: int) -> None:
        """Let it do ``steps`` more, and wait until it has."""
        target = self.steps + steps
        for _ in range(steps):
            self._allowed.release()
        until(lambda: self.steps >= target, f"step {target}")

    def open(self) -> None:
        """Hold it no longer."""
        self._open.set()


@pytest.fixture
def start_service(steady_path: Path) -> Iterator[Callable[..., SpeechService]]:
    """Makes started services; closes them."""
    made: list[SpeechService] = []

    def start(**changes: object) -> SpeechService:
        service = SpeechService(settings_for(steady_path, **changes)).start()
        made.append(service)
        return service

    yield start
    for service in made:
        service.cancel_all()
        service.close()


class Running:
    """A real server in a thread."""

    def __init__(self, service: SpeechService, server: Server, port: int) -> None:
        self.service = service
        self.server = server
        self.port = port
        self.url = f"http://127.0.0.1:{port}"


@contextmanager
def running(settings: ServeSettings) -> Iterator[Running]:
    sock = listen(settings)
    service = SpeechService(settings).start()
    server = make_server(settings, service)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    until(lambda: server.started, "the server started")
    try:
        yield Running(service, server, sock.getsockname()[1])
    finally:
        service.cancel_all()
        server.should_exit = True
        thread.join(PATIENCE)
        sock.close()


@pytest.fixture
def start_server(steady_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts servers with settings of their own; stops them."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(**changes: object) -> Running:
            return stack.enter_context(running(settings_for(steady_path, **changes)))

        yield start


@pytest.fixture(scope="module")
def server(steady_path: Path) -> Iterator[Running]:
    """One server for the tests that change nothing of it."""
    two = {"tiny": steady_path, "second": steady_path}
    with running(settings_for(steady_path, bundles=two)) as one:
        yield one
