"""Compares variants with the FP32 reference: teacher forcing, decoding, free generation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from chattts_onnx.errors import NonFiniteError
from pipeline.fidelity import audio, forcing, free
from pipeline.fidelity.audio import Decoded, decode_reference, decode_rows
from pipeline.fidelity.bundle_model import BundleModel
from pipeline.fidelity.forcing import ForcedBatch, force_reference, forced_rows
from pipeline.fidelity.free import FreeRun, free_rows, write_samples
from pipeline.fidelity.half_range import check_range
from pipeline.fidelity.models import AudioFormat, Candidate, Spoken, SpokenPrompt
from pipeline.report.gates import NOT_FINITE
from pipeline.report.metrics import by_name
from pipeline.report.rows import Row

METRICS = by_name((*forcing.METRICS, *audio.METRICS, *free.METRICS))
"""Every metric of the validation report."""

REFERENCE = "reference"

Opener = Callable[[], AbstractContextManager[Candidate]]


@dataclass(frozen=True)
class Trial:
    """What every model has to do.

    Attributes:
        prompts: what is spoken.
        batch: prompts a left-padded batch of teacher forcing holds.
        free_run: limits of the free generation.
        audio_format: how waveforms are compared.
        samples: folder that gets ``reference/`` and one folder a variant.
        sample_count: wavs in each of them.
        progress: called with a model's name for each prompt it has spoken.
    """

    prompts: list[SpokenPrompt]
    batch: int
    free_run: FreeRun
    audio_format: AudioFormat
    samples: Path
    sample_count: int
    progress: Callable[[str], object] = lambda name: None

    def speak(self, name: str, model: Candidate) -> list[Spoken]:
        """Let ``model`` speak the prompts freely and write its samples."""
        spoken = self.free_run.speak_all(model, self.prompts, lambda: self.progress(name))
        chosen = spoken[: self.sample_count]
        write_samples(self.samples / name, model, chosen, self.audio_format.sample_rate)
        return spoken


@dataclass(frozen=True)
class Expected:
    """What the reference said and answered, computed once and compared with every variant."""

    spoken: list[Spoken]
    batches: list[ForcedBatch]
    decoded: list[Decoded]


def expect(reference: Candidate, trial: Trial) -> Expected:
    """Let the reference speak, force it over its own codes, and decode."""
    spoken = trial.speak(REFERENCE, reference)
    batches = [
        force_reference(reference, trial.prompts[i : i + trial.batch], spoken[i : i + trial.batch])
        for i in range(0, len(spoken), trial.batch)
    ]
    return Expected(spoken, batches, decode_reference(reference, batches))


def judge_variant(variant: str, model: Candidate, expected: Expected, trial: Trial) -> list[Row]:
    """All rows of one variant; a :data:`NOT_FINITE` one alone where no metric can be made."""
    try:
        if isinstance(model, BundleModel):
            check_range(model.bundle, expected.batches, expected.decoded)
        return [
            *forced_rows(variant, model, expected.batches),
            *decode_rows(variant, model, expected.decoded, trial.audio_format),
            *free_rows(variant, trial.speak(variant, model), expected.spoken),
        ]
    except NonFiniteError as error:
        names = {"graph": error.graph, "output": error.output, "place": " of ".join(error.place)}
        return [NOT_FINITE.row(variant, 1.0, **names)]


def validate(reference: Candidate, openers: dict[str, Opener], trial: Trial) -> list[Row]:
    """Judge every variant, one open at a time.

    Args:
        reference: the FP32 PyTorch model.
        openers: how to open each variant.
        trial: what they have to do.
    """
    expected = expect(reference, trial)
    rows = free_rows(REFERENCE, expected.spoken, expected.spoken)
    for variant, opener in openers.items():
        with opener() as model:
            rows += judge_variant(variant, model, expected, trial)
    return rows
