"""Collected statistics: what is measured, and that storage loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import QuantizationError
from pipeline.graphs.probe import TensorProbe
from pipeline.quantization.calibration.statistics import (
    calibrated_tensors,
    collect,
    load_statistics,
    save_statistics,
)

Feeds = dict[str, Any]
SOURCES = {"vocos.onnx.data": "5ca1ab1e"}


def test_ranges_are_those_of_the_tensors(
    gpt_path: Path, make_gpt_feeds: Callable[..., Feeds]
) -> None:
    """Minimum and maximum over all batches, by phase."""
    batches = [make_gpt_feeds(seed) for seed in range(3)]
    statistics = collect(gpt_path, "gpt", batches, 512)
    name = "first_norm_out"
    values = np.stack([TensorProbe(gpt_path, [name]).run(feeds)[name][0] for feeds in batches])
    phases = statistics.tensors[name]
    assert phases["text"].maximum == values[:, :7].max()
    assert phases["code"].minimum == values[:, 7:].min()
    assert statistics.merged(name).total == values.size


def test_inputs_of_layers_and_outputs_of_convolutions(gpt_path: Path, vocos_path: Path) -> None:
    """Nine MatMuls of the GPT; in Vocos also what each Conv writes."""
    assert len(calibrated_tensors(gpt_path)) == 9
    tensors = calibrated_tensors(vocos_path)
    assert {"mel", "embed_out", "dwconv_out"} <= set(tensors)
    assert len(tensors) == len(set(tensors))


def test_storage_round_trip(
    tmp_path: Path, vocos_path: Path, make_mel: Callable[..., Feeds]
) -> None:
    """Loaded histograms equal the collected ones."""
    statistics = collect(vocos_path, "vocos", [make_mel(0)], 512)
    save_statistics(tmp_path, {"vocos": statistics}, SOURCES)
    loaded = load_statistics(tmp_path, SOURCES)["vocos"]
    assert list(loaded.tensors) == list(statistics.tensors)
    for name in statistics.tensors:
        a, b = statistics.merged(name), loaded.merged(name)
        assert np.array_equal(a.counts, b.counts)
        assert (a.minimum, a.maximum, a.limit) == (b.minimum, b.maximum, b.limit)


@pytest.mark.parametrize("damage", ["missing", "truncated", "other"])
def test_damaged_storage_is_named(
    tmp_path: Path, vocos_path: Path, make_mel: Callable[..., Feeds], damage: str
) -> None:
    """Whatever is wrong, the message says which stage to run."""
    statistics = collect(vocos_path, "vocos", [make_mel(0)], 512)
    save_statistics(tmp_path, {"vocos": statistics}, SOURCES)
    file = tmp_path / "vocos.npz"
    if damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:100])
    else:
        (tmp_path / "calibration.json").write_text("[]")
    with pytest.raises(QuantizationError, match="run the calibrate stage again"):
        load_statistics(tmp_path, SOURCES)


def test_calibration_of_another_bundle_is_refused(
    tmp_path: Path, vocos_path: Path, make_mel: Callable[..., Feeds]
) -> None:
    """Graphs of two checkpoints have the same tensor names; their hashes tell them apart."""
    statistics = collect(vocos_path, "vocos", [make_mel(0)], 512)
    save_statistics(tmp_path, {"vocos": statistics}, SOURCES)
    with pytest.raises(QuantizationError, match="calibration of other graphs"):
        load_statistics(tmp_path, {"vocos.onnx.data": "deadbeef"})
