"""The measurements in order of value: what comes first is there when time runs out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chattts_onnx.graphs.sessions import available_cores
from pipeline.benchmark.device import DEVICE, GRAPH, HOST
from pipeline.benchmark.engine import REFERENCE, EngineSpec
from pipeline.benchmark.plan import Measurement, make_plan
from pipeline.studies.gpu.arena import ARENAS
from pipeline.studies.gpu.setup import Setup

CUDA_VARIANTS = ("fp16", "w8_fp16", "w4_fp16", "fp32_cuda")
"""Bundles whose nodes all have CUDA kernels."""

AS_SHIPPED = ("fp32", "w8", "w4")
"""Bundles with FP32 attention, which CUDA has no kernel for: only their placement is shown."""

STATIC_INT8 = "int8_cuda"
STEPS = ("prefill", "decode")


@dataclass(frozen=True)
class Check:
    """Calls in a process of their own.

    Attributes:
        name: as ``--only`` and the log name it.
        call: a key of :data:`pipeline.studies.gpu.child.CALLS`.
        arguments: of each call; what one gave is kept, however the next one ends.
        needs: bundles without which it is skipped.
        seconds: after which it is stopped.
    """

    name: str
    call: str
    arguments: tuple[dict[str, Any], ...] = field(default_factory=lambda: ({},))
    needs: tuple[str, ...] = ()
    seconds: float = 90


@dataclass(frozen=True)
class Timed:
    """An engine that the benchmark times.

    Attributes:
        variant: of a bundle; None for the PyTorch reference.
        mode: of its steps.
        dtype: of the reference.
        whole: time speech too, not only prompt and steps.
        seconds: after which it is stopped.
    """

    variant: str | None
    mode: str
    dtype: str = "fp32"
    whole: bool = True
    seconds: float = 200

    @property
    def engine(self) -> str:
        """Its name in the report; the eager FP32 reference is what others are compared with."""
        if self.variant:
            return f"{self.variant}:{self.mode}"
        further = [part for part in (self.dtype, self.mode) if part not in ("fp32", "eager")]
        return ":".join([REFERENCE, *further])

    @property
    def name(self) -> str:
        """As ``--only`` and the log name it."""
        return f"benchmark:{self.engine}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Bundles without which it is skipped."""
        return (self.variant,) if self.variant else ()

    def spec(self, setup: Setup) -> EngineSpec:
        """How it is opened."""
        folder = (
            setup.bundle(self.variant) if self.variant else setup.workspace / "build/checkpoint"
        )
        kind = "bundle" if self.variant else REFERENCE
        threads = setup.size.config().threads or available_cores()
        return EngineSpec(
            self.engine, kind, str(folder), threads, setup.seed, setup.device, self.mode, self.dtype
        )

    def plan(self, setup: Setup) -> list[Measurement]:
        """What is timed."""
        plan = make_plan(setup.size.config())
        return [part for part in plan if self.whole or part.call in STEPS]


Task = Check | Timed


def measurements(device: str) -> list[Task]:
    """All measurements of a checkpoint."""
    fast = CUDA_VARIANTS[0]
    judged = (*CUDA_VARIANTS, STATIC_INT8)
    tasks: list[Task] = [
        Check("bandwidth", "copy_bandwidth"),
        *(_check("placement", v, seconds=60) for v in (*CUDA_VARIANTS, *AS_SHIPPED, STATIC_INT8)),
        Check("sampler", "sampler", ({"variant": fast},), (fast,)),
        Check("outlier", "outlier"),
        Timed(fast, GRAPH),
        Timed(None, "eager"),
        Check("validation", "validation", tuple({"variant": v} for v in judged), seconds=180),
        *(Timed(variant, GRAPH) for variant in CUDA_VARIANTS[1:]),
        *(Timed(fast, mode) for mode in (DEVICE, HOST)),
        *(_check("profile", fast, mode=mode) for mode in (GRAPH, DEVICE)),
        Timed(None, "eager", "fp16", whole=False),
        Timed(None, "compiled", "fp16", whole=False, seconds=240),
        *(Check(f"arena:{n}", "arena", ({"variant": fast, "name": n},), (fast,)) for n in ARENAS),
        Timed(STATIC_INT8, DEVICE, whole=False),
        *(_check("profile", variant, mode=GRAPH) for variant in CUDA_VARIANTS[1:]),
        Timed(None, "compiled", whole=False, seconds=240),
    ]
    # A compiler is not needed to rehearse, and on a CPU it takes minutes.
    return [t for t in tasks if device == "cuda" or "compiled" not in t.name]


def builds() -> list[list[Check]]:
    """Bundles to make: groups one after the other, within a group at the same time."""
    groups = (
        ("fp32",),
        ("fp16", "w8", "w4", "int8", "fp32_cuda"),
        ("w8_fp16", "w4_fp16", "int8_cuda"),
    )
    return [
        [Check(f"build:{v}", "build", ({"variant": v},), seconds=400) for v in group]
        for group in groups
    ]


def _check(call: str, variant: str, seconds: float = 90, **further: str) -> Check:
    name = ":".join([call, variant, *further.values()])
    return Check(name, call, ({"variant": variant, **further},), (variant,), seconds)
