"""A server in a process of its own: started, waited for, watched, and ended."""

from __future__ import annotations

import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import psutil

from pipeline.core.errors import LoadError
from pipeline.core.process import Process, own_environment

_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


class ServerProcess:
    """The command of a server on a free port of this machine, as a context manager.

    The command has to print its address; ``environment`` adds to this process's.  ``samples``
    holds (seconds since it was ready, resident bytes, CPU seconds used so far) twice a second, its
    children's included.
    """

    def __init__(
        self,
        command: list[str],
        ready_seconds: float,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._environment = dict(environment or {})
        self._ready_seconds = ready_seconds
        self._stop = threading.Event()
        self.samples: list[tuple[float, int, float]] = []
        self.address = ""

    def __enter__(self) -> Self:
        # ONNX Runtime's own threads are what a server is judged by.
        environment = {k: v for k, v in own_environment().items() if k != "OMP_NUM_THREADS"}
        environment |= self._environment
        self._process = Process(self._command, environment, grace=60)
        try:
            self._await()
        except BaseException:
            self._process.end()
            raise
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._watcher.join()
        self._process.end()

    @property
    def pid(self) -> int:
        """Of the server's process."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server printed so far."""
        return self._process.errors + self._process.output

    def get(self, path: str, timeout: float = 5.0) -> str:
        """The body of an answer."""
        with urllib.request.urlopen(f"{self.address}{path}", timeout=timeout) as answer:
            return str(answer.read().decode())

    def check_alive(self) -> None:
        """:class:`LoadError` with the end of its output when the server has ended."""
        if (status := self._process.status) is not None:
            raise LoadError(f"the server ended with status {status}: {self.log[-1500:].strip()}")

    def _await(self) -> None:
        """Wait for the address, then for an answer that says it is ready."""
        deadline = time.monotonic() + self._ready_seconds
        while time.monotonic() < deadline:
            self.check_alive()
            if not self.address and (found := _ADDRESS.search(self.log)):
                self.address = f"http://127.0.0.1:{found[1]}"
            if self.address and self._is_ready():
                return
            time.sleep(0.1)
        raise LoadError(
            f"the server was not ready after {self._ready_seconds:g} s: "
            f"{self.log[-1500:].strip() or 'it printed nothing'}"
        )

    def _is_ready(self) -> bool:
        try:
            self.get("/ready")
        except (urllib.error.URLError, OSError):
            return False
        return True

    def _watch(self) -> None:
        process, began = psutil.Process(self._process.pid), time.monotonic()
        while not self._stop.is_set():
            family = [process]
            try:
                family += process.children(recursive=True)
                memory = sum(member.memory_info().rss for member in family)
                times = [member.cpu_times() for member in family]
            except psutil.NoSuchProcess:
                return
            spent = sum(time_.user + time_.system for time_ in times)
            self.samples.append((time.monotonic() - began, memory, spent))
            self._stop.wait(0.5)


def continuous(bundle: Path, options: list[str]) -> list[str]:
    """The product's server."""
    words = [sys.executable, "-m", "chattts_onnx", "serve", "--bundle", str(bundle)]
    return [*words, "--port", "0", *options]


def locked(bundle: Path) -> list[str]:
    """The naive server of :mod:`.naive`."""
    return [
        sys.executable,
        "-m",
        "pipeline.studies.load.naive",
        "--bundle",
        str(bundle),
        "--port",
        "0",
    ]
