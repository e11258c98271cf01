"""A small bundle, a tiny checkpoint and a quick configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.benchmark.config import BenchmarkConfig
from pipeline.checkpoint.config import BlocksConfig, SeededConfig
from pipeline.checkpoint.seeded import write_seeded
from tests.chattts_onnx import tiny_bundle


@pytest.fixture
def config() -> BenchmarkConfig:
    """Small numbers of everything."""
    return BenchmarkConfig(
        variants=["fp32", "int8"],
        reference=True,
        threads=1,
        rounds=2,
        prompt_tokens=9,
        batches=[1, 2],
        lengths=[10],
        steps=3,
        sentence="hello world 你 好",
        sentence_steps=8,
        sentence_batches=[1, 2],
        look_aheads=[2],
        concurrency=[3],
        concurrency_steps=8,
        measurement_seconds=30.0,
        worker_seconds=60.0,
    )


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle; tests must not change it."""
    folder = tmp_path_factory.mktemp("benchmark") / "fp32"
    tiny_bundle.build(folder)
    return folder


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in the official layout; tests must not change it."""
    blocks = BlocksConfig(hidden=16, intermediate=24, num_layers=1, bottleneck=4)
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
        decoder=blocks,
        dvae_decoder=blocks,
        dvae_encoder=blocks,
        vocos=BlocksConfig(hidden=16, intermediate=24, num_layers=1),
    )
    folder = tmp_path_factory.mktemp("checkpoint")
    write_seeded(folder, config, 3, lambda amount: None)
    return folder
