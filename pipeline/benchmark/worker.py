"""One engine in a process of its own: ``python -m pipeline.benchmark.worker``.

Requests and answers are JSON, one a line, over stdin and stdout.  The first request is
``{"open": {...EngineSpec}}``; the following ``{"call": name, "arguments": {...}}`` name a method
of :class:`~pipeline.benchmark.engine.Engine` or ``peak_memory``.  Answers are
``{"result": ...}`` or ``{"error": type, "message": text}``.  End of stdin ends the worker.

A process of its own gives every engine its own peak of memory and keeps one engine's libraries
from loading into another's.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from chattts_onnx.errors import ChatTTSError
from pipeline.benchmark.engine import Engine, EngineSpec
from pipeline.core.errors import BenchmarkError
from pipeline.report.machine import peak_memory_bytes

MEASUREMENTS = ("prefill", "decode", "sentence", "first_audio", "concurrent")


def open_engine(spec: EngineSpec) -> Engine:
    """Open the engine; imports happen here, so that a bundle's worker never loads torch.

    Raises:
        BenchmarkError: ``spec.kind`` is not known.
    """
    if spec.kind == "reference":
        from pipeline.benchmark.engine_reference import ReferenceEngine

        return ReferenceEngine(spec)
    if spec.kind == "bundle":
        from pipeline.benchmark.engine_bundle import BundleEngine

        return BundleEngine(spec)
    raise BenchmarkError(f"engine kind is {spec.kind!r}, expected reference or bundle.")


def serve(
    requests: Iterable[str], answers: TextIO, opener: Callable[[EngineSpec], Engine] = open_engine
) -> None:
    """Answer ``requests`` until they end."""
    engine: Engine | None = None
    for line in requests:
        try:
            request = json.loads(line)
            if "open" in request:
                engine = opener(EngineSpec(**request["open"]))
                result: Any = engine.describe()
            else:
                result = _call(engine, request["call"], request.get("arguments", {}))
            answer: dict[str, Any] = {"result": result}
        except ChatTTSError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        except Exception as error:  # the parent shows it; a dead worker could not
            traceback.print_exc(file=sys.stderr)
            answer = {"error": type(error).__name__, "message": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _call(engine: Engine | None, name: str, arguments: dict[str, Any]) -> Any:
    if name == "peak_memory":
        return peak_memory_bytes()
    if engine is None or name not in MEASUREMENTS:
        raise ValueError(f"cannot call {name!r}: open an engine, then {', '.join(MEASUREMENTS)}")
    return getattr(engine, name)(**arguments).as_dict()


def main() -> None:
    """Serve over the process's own stdin and stdout."""
    # A library that prints to stdout would break the protocol: it prints to stderr instead.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
