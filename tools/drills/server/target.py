"""The server that is attacked, and what is seen of it from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil

from chattts_onnx.format.manifest import Manifest
from pipeline.studies.load.process import ServerProcess, continuous
from tests.chattts_onnx import tiny_bundle
from tools.drills.record import Promise

TEXT = "hello world"
STEPS = 12
# Deadlines are for a broken server, not for a slow machine.
PATIENCE = 60.0


def promised(promise: str, tried: str, count: int, unit: str, broken: int, result: str) -> Promise:
    """A row of the page: what is to hold, what this drill did, how often, and what came of it."""
    command = "`python -m tools.drills.server`"
    return Promise("server", promise, f"{command}: {tried}", count, unit, broken, result)


def build_bundle(folder: Path, steps: int = STEPS) -> Path:
    """A bundle of random weights that speaks ``steps`` steps of every piece."""
    tiny_bundle.build(folder)
    manifest = Manifest.load(folder)
    code = {**manifest.generation["code"], "max_new_tokens": steps, "min_new_tokens": steps}
    replace(manifest, generation={**manifest.generation, "code": code}).write(folder)
    return folder


@dataclass(frozen=True)
class Vitals:
    """What a process holds: resident ``memory`` in bytes, ``threads`` and open ``files``."""

    memory: int
    threads: int
    files: int


class Target:
    """A running server: ``client`` asks it over HTTP, ``vitals`` looks at its process."""

    def __init__(self, process: ServerProcess, client: httpx.Client) -> None:
        self.process = process
        self.client = client
        self.port = int(process.address.rpartition(":")[2])

    def vitals(self) -> Vitals:
        """Now."""
        seen = psutil.Process(self.process.pid)
        return Vitals(seen.memory_info().rss, seen.num_threads(), seen.num_fds())

    def speak(self, text: str = TEXT, key: str = "", **more: Any) -> httpx.Response:
        """POST a text; the whole answer as PCM."""
        body = {"text": text, "format": "pcm", **more}
        headers = {"x-api-key": key} if key else {}
        return self.client.post("/v1/tts", json=body, headers=headers)

    def speaks(self, key: str = "") -> bool:
        """Whether a request is answered with sound."""
        answer = self.speak(key=key)
        return answer.status_code == 200 and len(answer.content) > 0

    def state(self) -> dict[str, Any]:
        """The body of ``/ready``."""
        return dict(self.client.get("/ready").json())

    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return self.state()["active"] == 0


@contextmanager
def serving(
    bundle: Path,
    options: Mapping[str, object],
    environment: Mapping[str, str] | None = None,
    files: int | None = None,
) -> Iterator[Target]:
    """``chattts-onnx serve`` with ``options`` (``--slots`` is ``{"slots": …}``), which may open so
    many ``files``."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    command = continuous(bundle, words)
    if files is not None:
        command = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(files), *command]
    limits = httpx.Limits(max_keepalive_connections=0)
    with (
        ServerProcess(command, PATIENCE, environment) as process,
        httpx.Client(
            base_url=process.address, timeout=PATIENCE, trust_env=False, limits=limits
        ) as client,
    ):
        yield Target(process, client)


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether ``condition`` comes true in time."""
    deadline = time.monotonic() + seconds
    while not (done := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return done
