"""A small bundle that stands in for the reference, a tiny checkpoint, and damaged copies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx.format.manifest import Manifest
from pipeline.fidelity.models import AudioFormat, SpokenPrompt
from tests.chattts_onnx import tiny_bundle

TEXTS = ("hello world", "one two three four five good morning", "你 好", "three five, one.")
AUDIO = AudioFormat(
    tiny_bundle.MODEL.sample_rate, tiny_bundle.HOP, 4 * tiny_bundle.HOP, tiny_bundle.MELS
)


@pytest.fixture(scope="session")
def damage() -> Callable[[Path, Path, str, float], Path]:
    """Copies a bundle and adds noise to every float weight of one graph's data file."""

    def copy(source: Path, target: Path, graph: str, scale: float) -> Path:
        shutil.copytree(source, target)
        data = target / f"{graph}.onnx.data"
        values = np.fromfile(data, dtype="<f4")
        noise = np.random.default_rng(0).standard_normal(values.shape) * scale
        # Constants and indices share the file: only what looks like a weight is touched.
        weights = np.isfinite(values) & (np.abs(values) > 1e-3) & (np.abs(values) < 10)
        values[weights] += (noise * np.abs(values))[weights].astype("<f4")
        values.tofile(data)
        Manifest.load(target, verify=False).write(target)
        return target

    return copy


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
