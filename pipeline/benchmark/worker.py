"""One engine in a process of its own: ``python -m pipeline.benchmark.worker``.

The other end of :class:`pipeline.core.process.Conversation`.  The first request is
``{"open": {...EngineSpec}}``; the following ``{"call": name, "arguments": {...}}`` name a method
of :class:`~pipeline.benchmark.engine.Engine` or ``peak_memory``.

A process of its own gives every engine its own peak of memory and keeps one engine's libraries
from loading into another's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.benchmark.engine import Engine, EngineSpec
from pipeline.core.errors import BenchmarkError
from pipeline.core.process import answer

MEASUREMENTS = ("prefill", "decode", "sentence", "first_audio", "concurrent")


def open_engine(spec: EngineSpec) -> Engine:
    """Open the engine; imports happen here, so that a bundle's worker never loads torch.

    Raises:
        BenchmarkError: ``spec.kind`` is not known.
    """
    if spec.kind == "reference" and spec.device:
        from pipeline.benchmark.engine_torch import DeviceReference

        return DeviceReference(spec)
    if spec.kind == "reference":
        from pipeline.benchmark.engine_reference import ReferenceEngine

        return ReferenceEngine(spec)
    if spec.kind == "bundle":
        from pipeline.benchmark.engine_bundle import BundleEngine

        return BundleEngine(spec)
    raise BenchmarkError(f"engine kind is {spec.kind!r}, expected reference or bundle.")


class Server:
    """Handles requests; holds the engine that the first one opened."""

    def __init__(self, opener: Callable[[EngineSpec], Engine] = open_engine) -> None:
        self._opener = opener
        self._engine: Engine | None = None

    def __call__(self, request: dict[str, Any]) -> Any:
        """The result of one request.

        Raises:
            ValueError: it names nothing that is measured, or no engine is open.
        """
        if "open" in request:
            self._engine = self._opener(EngineSpec(**request["open"]))
            return self._engine.describe()
        engine, name = self._engine, request["call"]
        if engine is None or name not in (*MEASUREMENTS, "peak_memory"):
            known = ", ".join(MEASUREMENTS)
            raise ValueError(f"cannot call {name!r}: open an engine, then {known}")
        if name == "peak_memory":
            return engine.peak_memory()
        return getattr(engine, name)(**request.get("arguments", {})).as_dict()


if __name__ == "__main__":
    answer(Server())
