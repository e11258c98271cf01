"""The sampler graph against the NumPy sampler, on the CPU provider."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chattts_onnx import GenerationParams
from chattts_onnx.decoding.device_sampler import (
    NOT_FINITE,
    PREFIX,
    settings_columns,
    standalone_sampler,
)
from chattts_onnx.decoding.sampling import PENALTY_WINDOW, Settings, candidates, penalize, sample
from chattts_onnx.format.manifest import ModelInfo
from tests.chattts_onnx.decoding.requested import columns_of, drawn_logits, row_settings
from tests.chattts_onnx.tiny_bundle import MODEL

SESSIONS: dict[tuple[int, int], ort.InferenceSession] = {}


def sized(heads: int, vocab: int) -> ModelInfo:
    return replace(MODEL, num_vq=heads, num_audio_tokens=vocab)


def sample_by_graph(
    logits: np.ndarray,
    history: np.ndarray,
    columns: Settings,
    uniforms: np.ndarray,
    forbid: np.ndarray,
) -> np.ndarray:
    rows, heads, vocab = logits.shape
    model = sized(heads, vocab)
    key = (heads, vocab)
    if key not in SESSIONS:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        SESSIONS[key] = ort.InferenceSession(
            standalone_sampler(model), options, providers=["CPUExecutionProvider"]
        )
    inputs = {
        "history": history,
        "uniforms": uniforms,
        "forbid_end": forbid.reshape(rows, 1, 1),
        **settings_columns(columns, model),
    }
    feeds = {f"{PREFIX}/{name}": value for name, value in inputs.items()}
    codes: np.ndarray = SESSIONS[key].run(["codes"], {"logits": logits, **feeds})[0]
    return codes


def clear_cut(
    logits: np.ndarray,
    history: np.ndarray,
    columns: Settings,
    uniforms: np.ndarray,
    forbid: np.ndarray,
) -> np.ndarray:
    """Bool [rows, heads]: no threshold of top-p and no border of the draw is within rounding."""
    scores = (logits / columns.temperature[:, None, None]).astype(np.float32)
    penalize(scores, history, columns.penalty)
    exponentials = np.exp(np.sort(scores, axis=-1).astype(np.float64))
    mass = np.cumsum(exponentials, axis=-1) / exponentials.sum(axis=-1, keepdims=True)
    threshold = np.abs(mass - (1 - columns.top_p)[:, None, None]).min(axis=-1) > 1e-5
    _, weights = candidates(scores, columns, logits.shape[-1] - 1, forbid)
    cumulative = np.cumsum(weights, axis=-1)
    borders = np.abs(cumulative / cumulative[..., -1:] - uniforms[..., None]).min(axis=-1) > 1e-9
    return threshold & borders


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(row_settings, min_size=1, max_size=4),
    vocab=st.sampled_from([5, 12, 60]),
    levels=st.sampled_from([0, 3, 12]),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_graph_draws_what_numpy_draws(
    rows: list[GenerationParams], vocab: int, levels: int, seed: int, data: st.DataObject
) -> None:
    logits, history = drawn_logits(seed, len(rows), vocab, levels)
    if data.draw(st.booleans()):
        history[:, 5:] = -1
    uniforms = np.random.default_rng([seed, 1]).random(logits.shape[:2])
    forbid = np.array([data.draw(st.booleans()) for _ in rows])
    columns = columns_of(rows)
    expected = sample(logits, history, columns, uniforms, vocab - 1, forbid)
    found = sample_by_graph(logits, history, columns, uniforms, forbid)
    certain = clear_cut(logits, history, columns, uniforms, forbid)
    np.testing.assert_array_equal(found[certain], expected[certain])
    assert ((found >= 0) & (found < vocab)).all()


def test_official_size_and_defaults_agree_on_every_row() -> None:
    random, rows = np.random.default_rng(7), 64
    logits = random.standard_normal((rows, 4, 626)).astype(np.float32) * 3
    history = random.integers(0, 626, (rows, PENALTY_WINDOW, 4))
    history[:, ::2] = logits.argmax(-1)[:, None]
    columns = columns_of([GenerationParams()] * rows)
    uniforms, forbid = random.random((rows, 4)), np.arange(rows) % 2 == 0
    expected = sample(logits, history, columns, uniforms, 625, forbid)
    np.testing.assert_array_equal(
        sample_by_graph(logits, history, columns, uniforms, forbid), expected
    )


def test_the_edges_of_the_draw_stay_inside() -> None:
    """A uniform number next to 1 never takes the removed end token above all others."""
    logits = np.zeros((1, 1, 5), dtype=np.float32)
    logits[..., 4] = 9
    history = np.full((1, PENALTY_WINDOW, 1), -1)
    columns = columns_of([GenerationParams(temperature=1.0, top_p=1.0, top_k=0)])
    for uniform in (0.0, float(np.nextafter(1.0, 0.0))):
        uniforms = np.array([[uniform]])
        expected = sample(logits, history, columns, uniforms, 4, np.array([True]))
        found = sample_by_graph(logits, history, columns, uniforms, np.array([True]))
        np.testing.assert_array_equal(found, expected)
        assert found[0, 0] != 4


def test_an_end_that_outweighs_all_others_beyond_float64_can_be_forbidden() -> None:
    logits = np.array([[[1.0, 3.0, 2.0, -1.0, 500.0]], [[0.0, 1.0, 2.0, 3.0, 4.0]]], np.float32)
    history = np.full((2, PENALTY_WINDOW, 1), -1)
    columns = columns_of([GenerationParams(temperature=0.5, top_p=1.0, top_k=0)] * 2)
    uniforms, forbid = np.array([[0.5], [0.5]]), np.array([True, True])
    expected = sample(logits, history, columns, uniforms, 4, forbid)
    np.testing.assert_array_equal(
        sample_by_graph(logits, history, columns, uniforms, forbid), expected
    )
    assert expected[0, 0] == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_marked_and_leave_others_alone(bad: float) -> None:
    random = np.random.default_rng(3)
    logits = random.standard_normal((3, 2, 12)).astype(np.float32)
    clean = logits.copy()
    logits[1, 1, 4] = bad
    history = np.full((3, PENALTY_WINDOW, 2), -1)
    columns = columns_of([GenerationParams()] * 3)
    uniforms, forbid = random.random((3, 2)), np.zeros(3, dtype=np.bool_)
    found = sample_by_graph(logits, history, columns, uniforms, forbid)
    expected = sample(clean, history, columns, uniforms, 11, forbid)
    assert (found[1] == NOT_FINITE).all()
    np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])


def test_the_encoded_model_is_valid_onnx() -> None:
    model = onnx.load_from_string(standalone_sampler(sized(4, 626)))
    onnx.checker.check_model(model, full_check=True)
    used = {node.op_type for node in model.graph.node}
    # Shapes on the host or control flow would keep a CUDA graph from being captured.
    assert not used & {"Shape", "Size", "If", "Loop", "Scan", "NonZero", "Multinomial"}
