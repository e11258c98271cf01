"""What a check runs on and how much of everything it measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.benchmark.config import BenchmarkConfig
from pipeline.core.errors import require_one_of
from pipeline.core.strict import parse_strictly, read_yaml
from pipeline.params import CONF_DIRECTORY

DEVICES = ("cuda", "cpu")


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        benchmark: name in ``conf/benchmark``: what is timed, and how often.
        prompts: held-out sentences of the validation, and the steps of each.
        forced_steps: steps that the reference says of each.
        mixed_calls: calls of the mixed load.
        copy_bytes: size of the copied buffer that measures the memory's bandwidth.
    """

    benchmark: str = "gpu"
    prompts: int = 8
    forced_steps: int = 96
    mixed_calls: int = 120
    copy_bytes: int = 4 << 30

    def config(self) -> BenchmarkConfig:
        """What the benchmark measures."""
        path = CONF_DIRECTORY / "benchmark" / f"{self.benchmark}.yaml"
        return parse_strictly(read_yaml(path), BenchmarkConfig)


QUICK = Size("gpu_quick", prompts=2, forced_steps=4, mixed_calls=4, copy_bytes=1 << 24)


@dataclass(frozen=True)
class Setup:
    """One checkpoint's bundles on one device.

    Attributes:
        device: ``cuda``, or ``cpu`` for a rehearsal whose figures mean nothing.
        work: folder that holds a workspace for each checkpoint.
        checkpoint: name of the workspace: of ``conf/checkpoint``, or ``smoke``.
        size: how much is measured.
        seed: seed of voices, sampling and random inputs.
    """

    device: str
    work: Path
    checkpoint: str
    size: Size = field(default_factory=Size)
    seed: int = 20240527

    def __post_init__(self) -> None:
        require_one_of("device", self.device, DEVICES)

    @property
    def workspace(self) -> Path:
        """The checkpoint's workspace: build/checkpoint, bundles/<variant>."""
        return self.work / self.checkpoint

    def bundle(self, variant: str) -> Path:
        """Folder of a bundle."""
        return self.workspace / "bundles" / variant

    def as_dict(self) -> dict[str, Any]:
        """For a process of its own."""
        return {**asdict(self), "work": str(self.work)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Setup:
        """From :meth:`as_dict` after JSON."""
        return cls(**{**values, "work": Path(values["work"]), "size": Size(**values["size"])})
