"""Smoothing changes no output, and does what its formula says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from pipeline.core.errors import QuantizationError
from pipeline.graphs.files import load_graph, save_graph
from pipeline.graphs.probe import TensorProbe
from pipeline.quantization.calibration.statistics import GraphStatistics, collect
from pipeline.quantization.int8.smoothing import sites, smooth

Feeds = dict[str, Any]


def outputs(path: Path, feeds: Feeds, names: list[str]) -> list[Any]:
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    return list(session.run(names, feeds))


def test_sites_of_a_gpt(gpt_path: Path) -> None:
    """Two norms, one value/output and one up/down pair a layer; not the norm that is an output."""
    kinds = [site.kind for site in sites(load_graph(gpt_path).graph)]
    assert sorted(kinds) == ["norm"] * 4 + ["up_down"] * 2 + ["value_output"] * 2


@pytest.mark.parametrize("pairs", [False, True])
def test_outputs_stay_and_channels_become_even(
    tmp_path: Path, gpt_path: Path, make_gpt_feeds: Callable[..., Feeds], pairs: bool
) -> None:
    """With alpha 1 every channel's largest magnitude over the calibration becomes 1."""
    batches = [make_gpt_feeds(seed) for seed in range(2)]
    statistics = collect(gpt_path, "gpt", batches, 512)
    model = load_graph(gpt_path)
    factors = smooth(model.graph, statistics, 1.0, pairs)
    assert len(factors) == (8 if pairs else 4)
    save_graph(model, tmp_path / "gpt.onnx")
    names = ["hidden", "logits"]
    for found, wanted in zip(
        outputs(tmp_path / "gpt.onnx", batches[0], names),
        outputs(gpt_path, batches[0], names),
        strict=True,
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    probe = TensorProbe(tmp_path / "gpt.onnx", factors)
    values = [probe.run(feeds) for feeds in batches]
    for name, scale in factors.items():
        largest = np.max([np.abs(v[name]).reshape(-1, len(scale)).max(0) for v in values], axis=0)
        np.testing.assert_allclose(largest, 1.0, rtol=1e-3)


def test_norms_with_a_bias(
    tmp_path: Path, vocos_path: Path, make_mel: Callable[..., Feeds]
) -> None:
    """LayerNormalization's bias is divided like its scale."""
    statistics = collect(vocos_path, "vocos", [make_mel(0)], 512)
    model = load_graph(vocos_path)
    assert len(smooth(model.graph, statistics, 0.5, pairs=True)) == 1
    save_graph(model, tmp_path / "vocos.onnx")
    found = outputs(tmp_path / "vocos.onnx", make_mel(1), ["waveform"])[0]
    np.testing.assert_allclose(
        found, outputs(vocos_path, make_mel(1), ["waveform"])[0], rtol=1e-3, atol=1e-4
    )


def test_missing_statistics_are_named(gpt_path: Path) -> None:
    """A calibration of another graph cannot smooth."""
    with pytest.raises(QuantizationError, match="found no calibration of tensor"):
        smooth(load_graph(gpt_path).graph, GraphStatistics(), 0.5, pairs=True)
