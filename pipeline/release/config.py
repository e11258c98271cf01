"""Parameters of the release stage."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.errors import ConfigError
from pipeline.release.triton.config import TritonConfig
from pipeline.report.compare import Rule

# Every archive holds at least a header, an index and an end mark.
SMALLEST_PART = 1 << 16
# Files of a GitHub release have to be smaller.
LARGEST_PART = (2 << 30) - 1


@dataclass(frozen=True)
class ReleaseConfig:
    """What is released, and what the next release is compared by.

    Attributes:
        variants: bundles to pack, folders below ``bundles/``; none packs none.
        part_bytes: archives larger than this are split.
        rules: see :mod:`pipeline.report.compare`.
        triton: the Triton model repository to pack as well; None packs none.
        wheel: bundle that becomes a data wheel, if an index would take its size; None makes none.
    """

    variants: list[str]
    part_bytes: int
    rules: list[Rule]
    triton: TritonConfig | None = None
    wheel: str | None = None

    def __post_init__(self) -> None:
        if not SMALLEST_PART <= self.part_bytes <= LARGEST_PART:
            raise ConfigError(
                f"part_bytes is {self.part_bytes}, expected {SMALLEST_PART} to {LARGEST_PART}."
            )
