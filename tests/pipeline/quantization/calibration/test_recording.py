"""Inputs for every graph, and the parting of text from code positions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chattts_onnx.format.manifest import ModelInfo
from pipeline.core.errors import QuantizationError
from pipeline.quantization.calibration.recorder import spread
from pipeline.quantization.calibration.recording import (
    Recording,
    gpt_feeds,
    graph_feeds,
    split_phases,
)


def make_recording(model: ModelInfo) -> Recording:
    random = np.random.default_rng(0)
    return Recording(
        text_ids=random.integers(0, 9, 5),
        speaker=random.standard_normal(model.hidden_size).astype(np.float32),
        codes=random.integers(0, 9, (3, model.num_vq)),
        hidden=random.standard_normal((3, model.hidden_size)).astype(np.float32),
        text_hidden=random.standard_normal((6, model.hidden_size)).astype(np.float32),
        mel=random.standard_normal((model.num_mels, 6)).astype(np.float32),
        waveform=random.standard_normal(5 * model.hop_length).astype(np.float32),
    )


def test_gpt_is_forced_along_the_codes(model_info: ModelInfo) -> None:
    """Position S - 1 + t predicts code t; the last code is not fed."""
    recording = make_recording(model_info)
    (feeds,) = graph_feeds("gpt", model_info, recording)
    assert feeds["input_ids"].shape == (1, 7, 4)
    assert feeds["text_mask"][0].tolist() == [True] * 5 + [False] * 2
    assert np.array_equal(feeds["input_ids"][0, 5:], recording.codes[:2])
    assert feeds["logits_index"].tolist() == [4, 5, 6]
    assert feeds["seqlens_k"].tolist() == [6]
    assert feeds["total_sequence_length"] == 7
    assert feeds["past_key_values.1.value"].shape == (1, 2, 7, 32)


@pytest.mark.parametrize(
    ("graph", "name", "shape"),
    [
        ("text_head", "hidden", (6, 64)),
        ("decoder", "hidden", (1, 3, 64)),
        ("dvae_decode", "codes", (1, 3, 4)),
        ("dvae_encode", "waveform", (1, 1280)),
        ("vocos", "mel", (1, 20, 6)),
    ],
)
def test_inputs_of_the_other_graphs(
    model_info: ModelInfo, graph: str, name: str, shape: tuple[int, ...]
) -> None:
    """Each is fed what the one before it gave."""
    (feeds,) = graph_feeds(graph, model_info, make_recording(model_info))
    assert {key: value.shape for key, value in feeds.items()} == {name: shape}


def test_an_unknown_graph_is_named(model_info: ModelInfo) -> None:
    """A graph added to bundles later is not silently left uncalibrated."""
    with pytest.raises(QuantizationError, match="'watermark'"):
        list(graph_feeds("watermark", model_info, make_recording(model_info)))


def test_phases(model_info: ModelInfo) -> None:
    """Rows of a whole sequence part by the mask; selected rows are code."""
    text, codes, speaker = np.arange(4), np.zeros((2, 4)), np.zeros(64)
    feeds = gpt_feeds(model_info, text, codes, speaker, np.arange(6))
    value = np.arange(6, dtype=np.float32).reshape(1, 6, 1)
    parts = dict(split_phases("gpt", value, feeds))
    assert parts["text"].ravel().tolist() == [0, 1, 2, 3]
    assert parts["code"].ravel().tolist() == [4, 5]
    assert list(dict(split_phases("gpt", np.zeros((3, 8)), feeds))) == ["code"]
    assert list(dict(split_phases("vocos", value, {}))) == ["all"]


@given(st.integers(1, 50), st.integers(1, 50))
def test_spread_reaches_over_the_whole_file(length: int, count: int) -> None:
    """Distinct items in order, the first one always among them."""
    if count <= length:
        chosen = spread(range(length), count)
        assert chosen[0] == 0
        assert chosen == sorted(set(chosen))
        assert len(chosen) == count
        assert chosen[-1] >= length - -(-length // count)
