"""Which measurements a benchmark makes, and what each one's figures mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.benchmark.config import BenchmarkConfig
from pipeline.benchmark.engine import Timing

WARMUP_STEPS = 16
"""Steps of a sentence's warm-up: enough to touch every graph, cheap on a slow engine."""


@dataclass(frozen=True)
class Metric:
    """A figure of a report and how it follows from a measurement.

    Attributes:
        name: the metric's name in the report.
        unit: its unit.
        value: from the timing and the batch size.
        higher_is_better: whether a larger value is the better one.
    """

    name: str
    unit: str
    value: Callable[[Timing, int], float]
    higher_is_better: bool = False


@dataclass(frozen=True)
class Measurement:
    """A method of an engine with its arguments, and the metrics it gives."""

    call: str
    arguments: dict[str, Any]
    metrics: tuple[Metric, ...]
    conditions: dict[str, Any] = field(default_factory=dict)

    @property
    def batch(self) -> int:
        """Sequences that run at once."""
        return int(self.arguments.get("batch", 1))

    def warmup(self) -> Measurement:
        """The same measurement with fewer steps, to run before the timed ones."""
        steps = self.arguments.get("steps")
        if steps is None:
            return self
        return replace(self, arguments={**self.arguments, "steps": min(steps, WARMUP_STEPS)})


PREFILL = (Metric("prefill_seconds", "s", lambda timing, batch: timing.seconds),)
DECODE = (
    Metric(
        "steps_per_second",
        "steps/s",
        lambda timing, batch: batch * timing.steps / timing.seconds,
        higher_is_better=True,
    ),
)
SENTENCE = (
    Metric("sentence_seconds", "s", lambda timing, batch: timing.seconds),
    Metric("rtf", "s/s", lambda timing, batch: timing.seconds / timing.audio_seconds),
    Metric(
        "sentences_per_second",
        "sentences/s",
        lambda timing, batch: batch / timing.seconds,
        higher_is_better=True,
    ),
)
FIRST_AUDIO = (Metric("first_audio_seconds", "s", lambda timing, batch: timing.seconds),)


def _percentile(share: float) -> Callable[[Timing, int], float]:
    # linear between ranks: with few requests P95 and P99 lean on the slowest one
    return lambda timing, batch: float(np.percentile(timing.first_audio, share))


CONCURRENT = (
    Metric(
        "throughput_steps_per_second",
        "steps/s",
        lambda timing, batch: timing.steps / timing.seconds,
        higher_is_better=True,
    ),
    *(Metric(f"first_audio_p{p}_seconds", "s", _percentile(p)) for p in (50, 95, 99)),
)


def make_plan(config: BenchmarkConfig) -> list[Measurement]:
    """The measurements in the order they run."""
    plan = [
        Measurement(
            "prefill",
            {"batch": 1, "tokens": config.prompt_tokens},
            PREFILL,
            {"batch": 1, "length": config.prompt_tokens},
        )
    ]
    for batch in config.batches:
        for length in config.lengths:
            plan.append(
                Measurement(
                    "decode",
                    {"batch": batch, "length": length, "steps": config.steps},
                    DECODE,
                    {"batch": batch, "length": length},
                )
            )
    spoken = {"text": config.sentence, "steps": config.sentence_steps}
    for look_ahead in (None, *config.look_aheads):
        conditions = {"batch": 1} if look_ahead is None else {"look_ahead": look_ahead}
        arguments = {**spoken, "look_ahead": look_ahead}
        plan.append(Measurement("first_audio", arguments, FIRST_AUDIO, conditions))
    for batch in config.sentence_batches:
        conditions = {
            "batch": batch,
            "characters": len(config.sentence),
            "steps": config.sentence_steps,
        }
        plan.append(Measurement("sentence", {**spoken, "batch": batch}, SENTENCE, conditions))
    for requests in config.concurrency:
        arguments = {
            "text": config.sentence,
            "requests": requests,
            "steps": config.concurrency_steps,
            "look_ahead": min(config.look_aheads, default=None),
        }
        plan.append(Measurement("concurrent", arguments, CONCURRENT, {"requests": requests}))
    return plan
