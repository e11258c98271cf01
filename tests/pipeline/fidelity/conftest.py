"""A small bundle that stands in for the reference, and what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.fidelity.models import AudioFormat, SpokenPrompt
from tests.chattts_onnx import tiny_bundle

TEXTS = ("hello world", "one two three four five good morning", "你 好", "three five, one.")
AUDIO = AudioFormat(
    tiny_bundle.MODEL.sample_rate, tiny_bundle.HOP, 4 * tiny_bundle.HOP, tiny_bundle.MELS
)


@pytest.fixture(scope="session")
def prompts(bundle_folder: Path) -> list[SpokenPrompt]:
    """Prompts of several lengths, each in its own voice."""
    from chattts_onnx import open_bundle

    bundle = open_bundle(bundle_folder, threads=1)
    voices = np.random.default_rng(5).standard_normal((len(TEXTS), tiny_bundle.HIDDEN))
    return [
        SpokenPrompt(text, bundle.prepare(text), voice.astype(np.float32))
        for text, voice in zip(TEXTS, voices, strict=True)
    ]
