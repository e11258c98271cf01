"""Free generation: every model speaks by itself, from the same seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chattts_onnx.audio.wav import to_bytes
from chattts_onnx.errors import GenerationError
from pipeline.fidelity.metrics import identical_share
from pipeline.fidelity.models import Candidate, Spoken, SpokenPrompt
from pipeline.report.metrics import Metric
from pipeline.report.rows import Row

STEPS = Metric(name="generated_steps", unit="steps")
FINISHED = Metric(name="finished_share", unit="share", better="higher", best=1.0)
IDENTICAL = Metric(name="identical_codes", unit="share", better="higher", best=1.0)
METRICS = (STEPS, FINISHED, IDENTICAL)


@dataclass(frozen=True)
class FreeRun:
    """Limits of a free generation: most and least steps, and the seed of the sampling."""

    steps: int
    min_steps: int
    seed: int

    def speak_all(
        self,
        model: Candidate,
        prompts: list[SpokenPrompt],
        progress: Callable[[], object] = lambda: None,
    ) -> list[Spoken]:
        """One generation a prompt; prompt ``i`` is sampled with ``seed + i``.

        ``progress`` is called after each.
        """
        spoken = []
        for index, prompt in enumerate(prompts):
            spoken.append(self._speak(model, prompt, index))
            progress()
        return spoken

    def _speak(self, model: Candidate, prompt: SpokenPrompt, index: int) -> Spoken:
        try:
            return model.speak(prompt, self.steps, self.min_steps, self.seed + index)
        except GenerationError:
            # That a variant cannot speak belongs into the report, and its gates stop it.
            empty = np.zeros((0, prompt.ids.shape[1]), dtype=np.int64)
            return Spoken(empty, np.zeros((0, len(prompt.speaker)), np.float32), finished=False)


def free_rows(variant: str, spoken: list[Spoken], expected: list[Spoken]) -> list[Row]:
    """Rows of :data:`METRICS`; ``identical_codes`` is the share that equals the reference's."""
    steps = [len(item.codes) for item in spoken]
    shares = [
        identical_share(ours.codes, theirs.codes)
        for theirs, ours in zip(spoken, expected, strict=True)
    ]
    return [
        STEPS.row(variant, float(np.mean(steps)), min=min(steps), max=max(steps)),
        FINISHED.row(variant, float(np.mean([item.finished for item in spoken]))),
        IDENTICAL.row(variant, float(np.mean(shares))),
    ]


def write_samples(
    folder: Path, model: Candidate, spoken: list[Spoken], sample_rate: int
) -> list[Path]:
    """Write ``spoken`` as ``00.wav``, ``01.wav``, … for people to listen to."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, item in enumerate(spoken):
        if not len(item.codes):
            continue
        path = folder / f"{index:02d}.wav"
        waveform = model.decode_hidden(item.hidden[None])[0]
        # A damaged variant may answer NaN, which no wav can hold; its metrics say so.
        audible = np.nan_to_num(waveform, nan=0.0, posinf=1.0, neginf=-1.0)
        # Not write_wav: a full disk would be named as a wrong argument, not as the stage's folder.
        path.write_bytes(to_bytes(audible, sample_rate, "int16"))
        paths.append(path)
    return paths
