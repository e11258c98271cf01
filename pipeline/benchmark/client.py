"""The harness's end of the pipe to a worker process."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from pipeline.benchmark.engine import EngineSpec, Timing
from pipeline.core.errors import BenchmarkError
from pipeline.core.process import own_environment

STDERR_TAIL = 2000
COMMAND = (sys.executable, "-m", "pipeline.benchmark.worker")


class Worker:
    """A worker process with one engine open; use as a context manager.

    Args:
        spec: the engine to open.
        timeout: seconds without an answer after which the engine has failed.
        command: what to run; tests replace it.

    Raises:
        BenchmarkError: the engine cannot be opened, reports an error, dies or falls silent.
    """

    def __init__(self, spec: EngineSpec, timeout: float, command: Sequence[str] = COMMAND) -> None:
        self.spec = spec
        self.description: dict[str, Any] = {}
        self._timeout = timeout
        self._command = list(command)
        self._lines: queue.Queue[str | None] = queue.Queue()

    def __enter__(self) -> Self:
        self._stderr = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            env=_environment(self.spec.threads),
        )
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.description = self._ask({"open": self.spec.as_dict()})
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def measure(self, name: str, arguments: dict[str, Any]) -> Timing:
        """Call a measurement of the engine; see :class:`~pipeline.benchmark.engine.Engine`."""
        return Timing(**self._ask({"call": name, "arguments": arguments}))

    def peak_memory(self) -> int:
        """Highest resident memory of the worker so far, in bytes."""
        return int(self._ask({"call": "peak_memory"}))

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._failed(request, "its process is gone") from None
        try:
            line = self._lines.get(timeout=self._timeout)
        except queue.Empty:
            raise self._failed(request, f"no answer within {self._timeout:g} s") from None
        if line is None:
            raise self._failed(request, "its process ended")
        answer = json.loads(line)
        if "error" in answer:
            raise self._failed(request, f"{answer['error']}: {answer['message']}")
        return answer["result"]

    def _failed(self, request: dict[str, Any], reason: str) -> BenchmarkError:
        what = request.get("call", "open")
        arguments = request.get("arguments", "")
        self._stderr.seek(0)
        tail = self._stderr.read()[-STDERR_TAIL:].decode("utf-8", "replace").strip()
        return BenchmarkError(
            f"engine {self.spec.name}, {what} {arguments}: {reason}."
            + (f"\nIts last output:\n{tail}" if tail else "")
        )

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _stop(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=2)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._stderr.close()


def _environment(threads: int) -> dict[str, str]:
    # PyTorch's threads busy-wait for each other: with anything else on the machine that slows the
    # reference tenfold, and every ratio would flatter the bundles.
    return {**own_environment(threads), "OMP_WAIT_POLICY": "PASSIVE"}
