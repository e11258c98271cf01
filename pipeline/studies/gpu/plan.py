"""The measurements in order of value: what comes first is there when time runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.report.rows import Row
from pipeline.studies.gpu.arena import ARENAS
from pipeline.studies.gpu.setup import Setup

CUDA_VARIANTS = ("fp16", "w8_fp16", "w4_fp16", "fp32_cuda")
"""Bundles whose nodes all have CUDA kernels."""

AS_SHIPPED = ("fp32", "w8", "w4")
"""Bundles with FP32 attention, which CUDA has no kernel for: only their placement is shown."""

STATIC_INT8 = "int8_cuda"


@dataclass(frozen=True)
class Task:
    """One measurement in a process of its own.

    Attributes:
        name: as ``--only`` and the log name it.
        call: a key of :data:`CALLS`.
        arguments: further arguments of the call.
        needs: bundles it needs.
        seconds: after which it is stopped; rows until then are kept.
    """

    name: str
    call: str
    arguments: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    seconds: float = 90


def measurements(device: str) -> list[Task]:
    """All measurements of a checkpoint."""
    fast = CUDA_VARIANTS[0]
    modes = ("device", "host")
    torch_engines = [("fp32", False), ("fp16", False), ("fp16", True), ("fp32", True)]
    tasks = [
        Task("bandwidth", "bandwidth"),
        *(_placement(variant) for variant in (*CUDA_VARIANTS, *AS_SHIPPED, STATIC_INT8)),
        Task("sampler", "sampler", {"variant": fast}, (fast,)),
        Task("outlier", "outlier"),
        _decode(fast, "graph"),
        _torch("fp32", compiled=False),
        Task(
            "validation",
            "validation",
            {"variants": [*CUDA_VARIANTS, STATIC_INT8]},
            (*CUDA_VARIANTS, STATIC_INT8),
            seconds=180,
        ),
        *(_decode(variant, "graph") for variant in CUDA_VARIANTS[1:]),
        *(_decode(fast, mode) for mode in modes),
        *(_speech(fast, mode) for mode in ("graph", "device")),
        Task("speech:torch", "torch_speech", seconds=120),
        *(_profile(fast, mode) for mode in ("graph", "device")),
        *(_torch(*engine) for engine in torch_engines[1:3]),
        *(_arena(fast, name) for name in ARENAS),
        _decode(STATIC_INT8, "device"),
        *(_speech(variant, "graph") for variant in CUDA_VARIANTS[1:]),
        *(_profile(variant, "graph") for variant in CUDA_VARIANTS[1:]),
        _torch(*torch_engines[3]),
    ]
    # A compiler is not needed to rehearse, and on a CPU it takes minutes.
    return [t for t in tasks if device == "cuda" or not t.arguments.get("compiled")]


def builds() -> list[list[Task]]:
    """Bundles to make: groups one after the other, within a group at the same time."""

    def build(variant: str, seconds: float = 400) -> Task:
        return Task(f"build:{variant}", "build", {"variant": variant}, (), seconds)

    return [
        [build("fp32")],
        [build("fp16"), build("w8"), build("w4"), build("int8"), build("fp32_cuda")],
        [build("w8_fp16"), build("w4_fp16"), build("int8_cuda")],
    ]


def run_task(call: str, setup: Setup, arguments: dict[str, Any]) -> Iterable[Row]:
    """Rows of a call as they are made; imports happen here, in the child that needs them."""
    return CALLS[call](setup, **arguments)


def _lazy(module: str, name: str) -> Callable[..., Iterable[Row]]:
    def call(setup: Setup, **arguments: Any) -> Iterable[Row]:
        from importlib import import_module

        rows: Iterable[Row] = getattr(import_module(module), name)(setup, **arguments)
        return rows

    return call


_PLACES: Sequence[tuple[str, str]] = (
    ("build", "build"),
    ("bandwidth", "bandwidth"),
    ("placement", "placement"),
    ("sampler", "validation"),
    ("validation", "validation"),
    ("outlier", "outlier"),
    ("decode", "decode"),
    ("torch_decode", "torch_decode"),
    ("speech", "speech"),
    ("torch_speech", "speech"),
    ("profile", "profile"),
    ("arena", "arena"),
)
CALLS = {name: _lazy(f"pipeline.studies.gpu.{module}", name) for name, module in _PLACES}


def _placement(variant: str) -> Task:
    return Task(f"placement:{variant}", "placement", {"variant": variant}, (variant,), 60)


def _decode(variant: str, mode: str) -> Task:
    arguments = {"variant": variant, "mode": mode}
    return Task(f"decode:{variant}:{mode}", "decode", arguments, (variant,), 120)


def _torch(precision: str, compiled: bool) -> Task:
    name = f"torch:{precision}:{'compiled' if compiled else 'eager'}"
    arguments = {"precision": precision, "compiled": compiled}
    return Task(name, "torch_decode", arguments, (), 180 if compiled else 100)


def _speech(variant: str, mode: str) -> Task:
    arguments = {"variant": variant, "mode": mode}
    return Task(f"speech:{variant}:{mode}", "speech", arguments, (variant,))


def _profile(variant: str, mode: str) -> Task:
    arguments = {"variant": variant, "mode": mode}
    return Task(f"profile:{variant}:{mode}", "profile", arguments, (variant,))


def _arena(variant: str, name: str) -> Task:
    arguments = {"variant": variant, "name": name}
    return Task(f"arena:{name}", "arena", arguments, (variant,), 60)
