"""Every variant against the FP32 PyTorch reference on the same device, and the sampler alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from chattts_onnx.decoding.device_sampler import PREFIX, settings_columns, standalone_sampler
from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.decoding.sampling import PENALTY_WINDOW, Settings, sample
from chattts_onnx.format.manifest import Manifest
from pipeline.benchmark.device import open_on
from pipeline.report.rows import Row, make_row
from pipeline.studies.gpu.device import open_model
from pipeline.studies.gpu.setup import Setup

if TYPE_CHECKING:
    from pipeline.fidelity.validate import Expected, Trial

ROWS = 256


def validation(setup: Setup, variant: str) -> Iterator[Row]:
    """Teacher forcing, audio and free generation; TF32 is off on both sides."""
    from pipeline.fidelity.bundle_model import BundleModel
    from pipeline.fidelity.validate import judge_variant

    trial, expected = _reference(setup)
    try:
        model = BundleModel(open_on(setup.bundle(variant), setup.device))
        rows = judge_variant(variant, model, expected, trial)
    except Exception as error:  # the next variant is judged all the same
        rows = [make_row(variant, "validation_failed", 1, "yes", reason=f"{error}"[:300])]
    yield from ({**row, "checkpoint": setup.checkpoint} for row in rows)


@cache
def _reference(setup: Setup) -> tuple[Trial, Expected]:
    """What every variant is given, and what the reference makes of it."""
    import torch

    from pipeline.core.sentences import load_sentences
    from pipeline.fidelity.free import FreeRun
    from pipeline.fidelity.reference_model import ReferenceModel
    from pipeline.fidelity.validate import Trial, expect

    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    size = setup.size
    reference = ReferenceModel.load(setup.workspace / "build" / "checkpoint")
    held_out = setup.workspace / "calibration_data" / "heldout.jsonl"
    sentences = load_sentences(held_out, size.prompts)[: size.prompts]
    trial = Trial(
        prompts=[reference.prompt(sentence) for sentence in sentences],
        batch=4,
        free_run=FreeRun(size.forced_steps, min(size.forced_steps, 48), setup.seed),
        audio_format=reference.audio_format,
        samples=setup.workspace / "samples",
        sample_count=0,
    )
    return trial, expect(reference, trial)


def sampler(setup: Setup, variant: str) -> Iterator[Row]:
    """Share of codes that the sampler graph draws as NumPy does, random scores and ties."""
    model = Manifest.load(setup.bundle(variant), verify=False).model
    session = open_model(setup.device, "sampler", standalone_sampler(model))
    random = np.random.default_rng(setup.seed)
    shape = (ROWS, model.num_vq, model.num_audio_tokens)
    scores = {
        "random": random.standard_normal(shape) * 3,
        # Eighths are exact in float32, whatever the order of sums.
        "ties": random.integers(-24, 24, shape) / 8,
    }
    settings = Settings(ROWS)
    for row in range(ROWS):
        params = GenerationParams(
            temperature=1.0 if row % 2 else 0.3,
            top_k=(0, 3, 20, 50)[row % 4],
            top_p=(0.5, 0.7, 0.95)[row % 3],
        )
        settings.set(row, params)
    history = random.integers(-1, model.num_audio_tokens, (ROWS, PENALTY_WINDOW, model.num_vq))
    forbid = random.random(ROWS) < 0.5
    uniforms = random.random((ROWS, model.num_vq))
    for kind, values in scores.items():
        logits = values.astype(np.float32)
        expected = sample(logits, history, settings, uniforms, model.end_token, forbid)
        inputs = {
            "history": history,
            "uniforms": uniforms,
            "forbid_end": forbid.reshape(ROWS, 1, 1),
            **settings_columns(settings, model),
        }
        feeds = {f"{PREFIX}/{name}": value for name, value in inputs.items()}
        found = session.run(["codes"], {"logits": logits, **feeds})[0]
        share = float((found == expected).mean())
        yield make_row("sampler", "codes_as_numpy", share, "share", scores=kind)
