"""A quick configuration."""

from __future__ import annotations

import pytest

from pipeline.benchmark.config import BenchmarkConfig


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
