"""Which measurements a benchmark makes, and what each one's figures mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.benchmark.config import BenchmarkConfig
from pipeline.benchmark.engine import Timing
from pipeline.report.metrics import Metric, by_name

WARMUP_STEPS = 16
"""Steps of a sentence's warm-up: enough to touch every graph, cheap on a slow engine."""


@dataclass(frozen=True, kw_only=True)
class Figure(Metric):
    """A metric, and how it follows from a timing and the batch size."""

    value: Callable[[Timing, int], float]


@dataclass(frozen=True)
class Measurement:
    """A method of an engine with its arguments, and the metrics it gives."""

    call: str
    arguments: dict[str, Any]
    metrics: tuple[Figure, ...]
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


PREFILL = (
    Figure(name="prefill_seconds", unit="s", better="lower", value=lambda t, batch: t.seconds),
)
DECODE = (
    Figure(
        name="steps_per_second",
        unit="steps/s",
        better="higher",
        title="steps/s",
        digits=".1f",
        headline="steps_per_second",
        where={"batch": 1},
        value=lambda timing, batch: batch * timing.steps / timing.seconds,
    ),
)
SENTENCE = (
    Figure(name="sentence_seconds", unit="s", better="lower", value=lambda t, batch: t.seconds),
    Figure(
        name="rtf",
        unit="s/s",
        better="lower",
        title="RTF",
        digits=".3f",
        headline="rtf",
        where={"batch": 1},
        value=lambda timing, batch: timing.seconds / timing.audio_seconds,
    ),
    Figure(
        name="sentences_per_second",
        unit="sentences/s",
        better="higher",
        value=lambda timing, batch: batch / timing.seconds,
    ),
)
FIRST_AUDIO = (
    Figure(
        name="first_audio_seconds",
        unit="s",
        better="lower",
        title="first audio",
        shown="ms",
        factor=1e3,
        digits=".0f",
        headline="first_audio_ms",
        where={"batch": 1},
        value=lambda t, batch: t.seconds,
    ),
)


def _percentile(share: int) -> Figure:
    # linear between ranks: with few requests P95 and P99 lean on the slowest one
    return Figure(
        name=f"first_audio_p{share}_seconds",
        unit="s",
        better="lower",
        value=lambda timing, batch: float(np.percentile(timing.first_audio, share)),
    )


CONCURRENT = (
    Figure(
        name="throughput_steps_per_second",
        unit="steps/s",
        better="higher",
        value=lambda timing, batch: timing.steps / timing.seconds,
    ),
    *(_percentile(share) for share in (50, 95, 99)),
)
# Of an engine's process, over all measurements.
PEAK_MEMORY = Metric(
    name="peak_memory_bytes",
    unit="B",
    better="lower",
    title="peak memory",
    shown="MB",
    factor=1e-6,
    digits=".0f",
    headline="memory_mb",
)
SIZE = Metric(
    name="size_bytes", unit="B", better="lower", title="size", shown="MB", factor=1e-6,
    digits=".1f", headline="size_mb",
)  # fmt: skip
METRICS = by_name((SIZE, PEAK_MEMORY, *PREFILL, *DECODE, *SENTENCE, *FIRST_AUDIO, *CONCURRENT))
"""Every metric of the benchmark, but for the ratios."""


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
