"""The harness's end of the conversation with an engine's process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from pipeline.benchmark.engine import EngineSpec, Timing
from pipeline.core.errors import BenchmarkError
from pipeline.core.process import Conversation, own_environment

COMMAND = (sys.executable, "-m", "pipeline.benchmark.worker")


class Worker(Conversation):
    """A process with one engine open; use as a context manager.

    Args:
        spec: the engine to open.
        timeout: seconds without an answer after which the engine has failed.
        command: what to run: an engine of others speaks the same, and so do tests.
        log: file for what the process prints; None keeps it for errors alone.

    Raises:
        BenchmarkError: the engine cannot be opened, reports an error, dies or falls silent.
    """

    def __init__(
        self,
        spec: EngineSpec,
        timeout: float,
        command: Sequence[str] = COMMAND,
        log: Path | None = None,
    ) -> None:
        # PyTorch's threads busy-wait for each other: with anything else on the machine that slows
        # the reference tenfold, and every ratio would flatter the bundles.
        environment = {**own_environment(spec.threads), "OMP_WAIT_POLICY": "PASSIVE"}
        super().__init__(f"engine {spec.name}", command, BenchmarkError, environment, log)
        self.spec = spec
        self.description: dict[str, Any] = {}
        self.timeout = timeout

    def __enter__(self) -> Self:
        try:
            self.description = self.ask({"open": self.spec.as_dict()}, self.timeout)
        except BaseException:
            self.process.end()
            raise
        return self

    def measure(self, name: str, arguments: dict[str, Any]) -> Timing:
        """Call a measurement of the engine; see :class:`~pipeline.benchmark.engine.Engine`."""
        return Timing(**self.ask({"call": name, "arguments": arguments}, self.timeout))

    def peak_memory(self) -> int:
        """Highest memory of the engine so far, in bytes; see the worker."""
        return int(self.ask({"call": "peak_memory"}, self.timeout))
