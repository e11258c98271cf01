"""An engine of others as a worker of the benchmark.

Speaks the protocol of ``pipeline.benchmark.worker`` over stdin and stdout, one JSON object a line:
``{"open": {name, kind, path, threads, seed}}`` first, then ``{"call": name, "arguments": {...}}``
with the name of a measurement that the engine has, or ``peak_memory``. Answers are
``{"result": ...}`` or ``{"error": type, "message": text}``.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np

MEASUREMENTS = ("prefill", "decode", "sentence", "first_audio", "concurrent")
Opener = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Timing:
    """Seconds of work, seconds of audio it made (all sentences together) and steps it took."""

    seconds: float
    audio_seconds: float = 0.0
    steps: int = 0
    first_audio: list[float] = field(default_factory=list)


def timed_steps(run: Callable[[int], object], steps: int, swept: int) -> Timing:
    """Time ``run`` of each step's number; ``swept`` bytes are read between steps, untimed."""
    other = np.ones(swept // 8)
    seconds = 0.0
    for step in range(steps):
        other.sum()
        started = time.perf_counter()
        run(step)
        seconds += time.perf_counter() - started
    return Timing(seconds, steps=steps)


def peak_memory_bytes() -> int:
    """Highest resident memory of this process so far (Linux: VmHWM), in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM line: peak memory needs Linux")


def serve(requests: Iterable[str], answers: TextIO, opener: Opener) -> None:
    """Answer ``requests`` until they end; ``opener`` opens the engine that the first describes."""
    engine: Any = None
    for line in requests:
        try:
            request = json.loads(line)
            if "open" in request:
                engine = opener(request["open"])
                result: Any = engine.describe()
            else:
                result = call(engine, request["call"], request.get("arguments", {}))
            answer: dict[str, Any] = {"result": result}
        except Exception as error:  # the harness shows it; a dead worker could not
            traceback.print_exc(file=sys.stderr)
            answer = {"error": type(error).__name__, "message": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def call(engine: Any, name: str, arguments: dict[str, Any]) -> Any:
    """Run one measurement and return its JSON value."""
    if name == "peak_memory":
        return peak_memory_bytes()
    if engine is None or name not in MEASUREMENTS or not hasattr(engine, name):
        raise ValueError(f"cannot call {name!r}: open an engine, then {', '.join(MEASUREMENTS)}")
    return asdict(getattr(engine, name)(**arguments))


def main(opener: Opener) -> None:
    """Serve over the process's own stdin and stdout."""
    # A library that prints to stdout would break the protocol: it prints to stderr instead.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin, answers, opener)
