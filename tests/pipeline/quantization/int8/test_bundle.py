"""Builders, and recordings that survive on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import QuantizationError
from pipeline.quantization.calibration.channels import ChannelStatistics, channel_rows
from pipeline.quantization.calibration.recording import Recording
from pipeline.quantization.calibration.recordings_file import load_recordings, save_recordings
from pipeline.quantization.calibration.statistics import collect
from pipeline.quantization.config import Int8Config
from pipeline.quantization.int8.bundle import Int8Builder

CONFIG = Int8Config("cpu-avx2", "minmax", 99.99, ["MatMul"], [], False, True)


def recording(seed: int) -> Recording:
    random = np.random.default_rng(seed)
    floats = [random.standard_normal((seed + 2, 4)).astype(np.float32) for _ in range(4)]
    return Recording(
        np.arange(seed + 3), floats[0][0], np.ones((seed + 2, 4), np.int64), *floats[1:],
        waveform=floats[0].reshape(-1),
    )  # fmt: skip


def test_recordings_round_trip(tmp_path: Path) -> None:
    """Every array comes back, in order; the same recordings give the same bytes."""
    made = [recording(seed) for seed in range(3)]
    save_recordings(tmp_path, made)
    first = (tmp_path / "recordings.npz").read_bytes()
    for found, wanted in zip(load_recordings(tmp_path), made, strict=True):
        for name in vars(wanted):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    save_recordings(tmp_path, made)
    assert (tmp_path / "recordings.npz").read_bytes() == first


@pytest.mark.parametrize("content", [None, b"", b"PK damaged"])
def test_damaged_recordings_are_named(tmp_path: Path, content: bytes | None) -> None:
    """Missing, empty or cut short."""
    if content is not None:
        (tmp_path / "recordings.npz").write_bytes(content)
    with pytest.raises(QuantizationError, match="run the calibrate stage again"):
        load_recordings(tmp_path)


def test_a_builder_names_a_graph_without_calibration(
    tmp_path: Path, gpt_path: Path, make_gpt_feeds: Callable[..., Any]
) -> None:
    manifest: Any = SimpleNamespace(graph=lambda name: SimpleNamespace(file=f"{name}.onnx"))
    statistics = {"gpt": collect(gpt_path, "gpt", [make_gpt_feeds(0)], 512)}
    magnitudes = np.ones((2, 2, 2, 32), np.float32)
    builder = Int8Builder(gpt_path.parent, manifest, statistics, [], magnitudes, tmp_path)
    made = builder.build("gpt", CONFIG, tmp_path / "gpt.onnx")
    assert made.operators["MatMulIntegerToFloat"] == 9
    with pytest.raises(QuantizationError, match="found no calibration of graph 'vocos'"):
        builder.build("vocos", CONFIG, tmp_path / "vocos.onnx")


def test_channels_of_parts_are_those_of_the_whole() -> None:
    """Merging loses nothing; empty parts add nothing; a Conv's channels are its axis 1."""
    values = np.random.default_rng(0).standard_normal((2, 5, 7)).astype(np.float32)
    rows = channel_rows(values, 1)
    assert rows.shape == (14, 5)
    whole, first, second = (ChannelStatistics.empty(5) for _ in range(3))
    whole.update(rows)
    first.update(rows[:9])
    second.update(rows[9:])
    second.update(rows[:0])
    both = first.merged(second)
    np.testing.assert_array_equal(both.largest, np.abs(values).max(axis=(0, 2)))
    np.testing.assert_allclose(both.mean, values.mean(axis=(0, 2)), rtol=1e-5)
    assert both.count == whole.count == 14
