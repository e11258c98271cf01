"""Parameters of the INT8 search, from ``conf/search``."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.errors import ConfigError
from pipeline.report.gates import GateConfig

RANKINGS = ("effect", "noise")


@dataclass(frozen=True)
class SearchConfig:
    """What is measured, which gates count, and when to stop.

    Attributes:
        sentences: prompts to measure on (JSONL), relative to the workspace.
        prompts: how many of them, from the top.
        steps: codes the FP32 bundle speaks for each, the most.
        min_steps: codes before which the end token is not allowed.
        variant: the variant of ``validate.gates`` whose gates have to be kept.
        gates: further gates; one of the same metric and condition is replaced.
        margin: share of what a gate allows that is kept free.
        evaluations: configurations measured at most.
        minutes: time spent at most, all runs of one search together.
        threads: CPU threads of each session.
        ranking: how layers are ordered: ``effect`` (logit KL or mel error with one layer
            quantized, measured) or ``noise`` (error of its output, computed).
        sensitivity_prompts: prompts of the sensitivity report, which measures every layer.
    """

    sentences: str
    prompts: int
    steps: int
    min_steps: int
    variant: str
    gates: list[GateConfig]
    margin: float
    evaluations: int
    minutes: float
    threads: int
    ranking: str
    sensitivity_prompts: int

    def __post_init__(self) -> None:
        counts = ("prompts", "steps", "evaluations", "threads")
        for name in (*counts, "sensitivity_prompts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: found {getattr(self, name)}, expected 1 or more")
        if not 1 <= self.min_steps <= self.steps:
            raise ConfigError(
                f"min_steps: found {self.min_steps}, expected 1 to steps ({self.steps})"
            )
        if not 0 <= self.margin < 1:
            raise ConfigError(f"margin: found {self.margin}, expected 0 or more and less than 1")
        if self.minutes <= 0:
            raise ConfigError(f"minutes: found {self.minutes}, expected more than 0")
        if self.ranking not in RANKINGS:
            raise ConfigError(f"ranking: found {self.ranking!r}, expected {' or '.join(RANKINGS)}")
