"""Parameters of the benchmark stage."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.errors import ConfigError


@dataclass(frozen=True)
class BenchmarkConfig:
    """What is timed, how often, and for how long at most.

    Attributes:
        variants: bundles to time, names of folders under ``bundles/``.
        reference: time the FP32 PyTorch reference (eager) as well; ratios need it.
        threads: CPU threads of every engine; 0 takes the machine's cores.
        rounds: repeats of each measurement; engines alternate within a round.
        prompt_tokens: length of the prompt that ``prefill_seconds`` is measured with.
        batches: batch sizes of ``steps_per_second``.
        lengths: tokens in the cache when the timed steps begin.
        steps: steps timed at each batch and length.
        sentence: text of the sentence measurements.
        sentence_steps: steps generated for it, whatever the weights would choose.
        sentence_batches: how many such sentences are spoken at once.
        look_aheads: steps that a stream waits for beyond a chunk, besides the exact number.
        concurrency: how many requests come at once in the measurements of throughput.
        concurrency_steps: steps of each of them.
        measurement_seconds: an engine that has spent this long on one measurement is not
            repeated further (it is measured once in any case).
        worker_seconds: an engine that answers nothing for this long has failed.
        idle_seconds: how long to wait for a machine whose cores others want; figures that are
            measured in spite of them are marked.
    """

    variants: list[str]
    reference: bool
    threads: int
    rounds: int
    prompt_tokens: int
    batches: list[int]
    lengths: list[int]
    steps: int
    sentence: str
    sentence_steps: int
    sentence_batches: list[int]
    look_aheads: list[int]
    concurrency: list[int]
    concurrency_steps: int
    measurement_seconds: float
    worker_seconds: float
    idle_seconds: float = 0.0

    def __post_init__(self) -> None:
        if not self.variants and not self.reference:
            raise ConfigError("no engine is chosen: name variants or set reference.")
        positive = {
            "rounds": [self.rounds],
            "prompt_tokens": [self.prompt_tokens],
            "steps": [self.steps],
            "sentence_steps": [self.sentence_steps],
            "batches": self.batches,
            "lengths": self.lengths,
            "sentence_batches": self.sentence_batches,
            "look_aheads": self.look_aheads,
            "concurrency": self.concurrency,
            "concurrency_steps": [self.concurrency_steps],
        }
        for name, values in positive.items():
            if any(value < 1 for value in values):
                raise ConfigError(f"{name} is {values}, expected numbers of 1 or more.")
        if not self.sentence.strip():
            raise ConfigError("sentence is empty, expected the text to time.")
