"""A small bundle that stands in for the reference, a tiny checkpoint, and damaged copies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx.format.manifest import Manifest
from pipeline.checkpoint.config import BlocksConfig, SeededConfig
from pipeline.checkpoint.seeded import write_seeded
from pipeline.fidelity.models import AudioFormat, SpokenPrompt
from tests.chattts_onnx import tiny_bundle

TEXTS = ("hello world", "one two three four five good morning", "你 好", "three five, one.")
AUDIO = AudioFormat(
    tiny_bundle.MODEL.sample_rate, tiny_bundle.HOP, 4 * tiny_bundle.HOP, tiny_bundle.MELS
)


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle; tests must not change it."""
    folder = tmp_path_factory.mktemp("quality") / "fp32"
    tiny_bundle.build(folder)
    return folder


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


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in the official layout; tests must not change it."""
    config = SeededConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=48,
        max_position_embeddings=256,
        rope_theta=10000.0,
        rms_norm_eps=1e-6,
        num_vq=4,
        vq_groups=2,
        vq_levels=[5, 5, 5, 5],
        vocabulary="compact",
        embed_tokens=7,
        num_mels=10,
        n_fft=64,
        dvae_dim=16,
        decoder=BlocksConfig(hidden=16, intermediate=24, num_layers=2, bottleneck=4),
        dvae_decoder=BlocksConfig(hidden=16, intermediate=24, num_layers=2, bottleneck=4),
        dvae_encoder=BlocksConfig(hidden=16, intermediate=24, num_layers=1, bottleneck=4),
        vocos=BlocksConfig(hidden=16, intermediate=24, num_layers=2),
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    write_seeded(folder, config, 3, lambda amount: None)
    return folder
