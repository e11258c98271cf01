"""What a check runs on and how much of everything it measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.core.errors import ConfigError

DEVICES = ("cuda", "cpu")
SENTENCE = (
    "清晨的阳光照进厨房，奶奶一边哼着老歌，一边把刚蒸好的馒头端上桌，热气慢慢散开，"
    "屋子里满是麦香，孩子们也揉着眼睛跑过来了。"
)


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        batches: sequences that run at once.
        lengths: positions in the cache when the timed steps begin.
        steps: timed steps.
        warmup: steps before them; a CUDA graph is captured in the first.
        repeats: timed runs of whatever is not a step.
        sentence_steps: steps of the spoken sentence.
        prompts: held-out sentences of the validation, and the steps of each.
        forced_steps: steps that the reference says of each.
        prefill: tokens of the timed prompt.
        mixed_calls: calls of the mixed load.
        copy_bytes: size of the copied buffer that measures the memory's bandwidth.
    """

    batches: tuple[int, ...] = (1, 8, 32, 64)
    lengths: tuple[int, ...] = (64, 512, 2048)
    steps: int = 64
    warmup: int = 8
    repeats: int = 7
    sentence_steps: int = 256
    prompts: int = 8
    forced_steps: int = 96
    prefill: int = 72
    mixed_calls: int = 120
    copy_bytes: int = 4 << 30


QUICK = Size(
    batches=(1, 2),
    lengths=(16,),
    steps=4,
    warmup=2,
    repeats=2,
    sentence_steps=30,
    prompts=2,
    forced_steps=4,
    prefill=8,
    mixed_calls=4,
    copy_bytes=1 << 24,
)


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
        if self.device not in DEVICES:
            raise ConfigError(f"device: found {self.device!r}, expected one of {DEVICES}.")

    @property
    def workspace(self) -> Path:
        """The checkpoint's workspace: build/checkpoint, bundles/<variant>."""
        return self.work / self.checkpoint

    def bundle(self, variant: str) -> Path:
        """Folder of a bundle."""
        return self.workspace / "bundles" / variant

    def as_dict(self) -> dict[str, Any]:
        """For the pipe to a child process."""
        return {**asdict(self), "work": str(self.work)}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Setup:
        """From :meth:`as_dict` after JSON, which has no tuples."""
        size: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values["size"].items()
        }
        return cls(**{**values, "work": Path(values["work"]), "size": Size(**size)})
