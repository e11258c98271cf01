"""The library's sampler draws what the numpy one draws from the same random numbers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chattts_onnx import GenerationParams, open_bundle
from chattts_onnx.decoding.sampling import PENALTY_WINDOW, sample
from chattts_onnx.decoding.slots import SlotDecoder
from chattts_onnx.errors import GenerationError
from tests.chattts_onnx.decoding.requested import columns_of, row_settings

HEADS = 4


@pytest.fixture(scope="module")
def decoder(library: ctypes.CDLL, fused: Callable[[str, bool], Path]) -> SlotDecoder:
    del library  # skips where it is not there
    return open_bundle(fused("static", True), threads=2, step="native").decoder(1, 16)


@settings(max_examples=200)
@given(
    rows=st.lists(row_settings, min_size=1, max_size=6),
    tokens=st.sampled_from([5, 30, 626]),
    ties=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_draws_what_numpy_draws(
    decoder: SlotDecoder, rows: list[GenerationParams], tokens: int, ties: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    logits = random.standard_normal((len(rows), HEADS, tokens)).astype(np.float32) * 4
    if ties:
        logits = np.rint(logits)
    history = random.integers(-1, tokens, (len(rows), PENALTY_WINDOW, HEADS))
    history[:, ::3] = logits.argmax(-1)[:, None]  # penalise what leads, and more than once
    uniforms = random.random((len(rows), HEADS))
    forbid = random.random(len(rows)) < 0.5
    arguments = (logits, history, columns_of(rows), uniforms, tokens - 1, forbid)
    found, expected = decoder.sample(*arguments), sample(*arguments)
    # Both add and round in float64, in orders of their own: only a number that lies within rounding
    # of a threshold may be drawn otherwise.
    assert np.count_nonzero(found != expected) <= (1 if ties else 0)


def test_a_forbidden_end_may_outweigh_all_others(decoder: SlotDecoder) -> None:
    columns = columns_of([GenerationParams(temperature=0.5, top_p=1.0, top_k=0)] * 2)
    logits = np.array([[[1.0, 3.0, 2.0, -1.0, 500.0]]] * 2, dtype=np.float32)
    history = np.full((2, PENALTY_WINDOW, 1), -1)
    random = np.array([[0.0], [np.nextafter(1.0, 0.0)]])
    tokens = decoder.sample(logits, history, columns, random, 4, np.array([True, True]))
    assert tokens[:, 0].tolist() == [2, 1]


def test_refuses_a_history_beyond_the_vocabulary(decoder: SlotDecoder) -> None:
    history = np.full((1, PENALTY_WINDOW, 1), 5)
    logits, random = np.zeros((1, 1, 5), np.float32), np.zeros((1, 1))
    with pytest.raises(GenerationError, match="vocabulary"):
        decoder.sample(logits, history, columns_of([GenerationParams()]), random, 4, np.zeros(1))
