"""The vectorised sampler against a plain one written from the documented rules."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chattts_onnx import GenerationParams
from chattts_onnx.decoding.sampling import PENALTY_WINDOW, candidates, draw, penalize, sample
from tests.chattts_onnx.decoding.requested import columns_of, drawn_logits, row_settings

MARGIN = 1e-5


def plain_distribution(
    logits: list[float],
    history: list[int],
    params: GenerationParams,
    end_token: int,
    forbid_end: bool,
) -> dict[int, float] | None:
    """Probabilities by token in plain loops; None where rounding alone could decide top-p."""
    scores = [float(np.float32(x / params.temperature)) for x in logits]
    for token in set(history) - {-1}:
        alpha = params.repetition_penalty ** history.count(token)
        scores[token] = scores[token] * alpha if scores[token] < 0 else scores[token] / alpha
    order = sorted(range(len(scores)), key=lambda i: (scores[i], i))
    largest = max(scores)
    exponentials = [math.exp(scores[i] - largest) for i in order]
    total, running = sum(exponentials), 0.0
    for position, (token, value) in enumerate(zip(order, exponentials, strict=True)):
        running += value
        may_go = position < len(order) - 3
        if may_go and abs(running / total - (1 - params.top_p)) < MARGIN:
            return None
        if may_go and running / total <= 1 - params.top_p:
            scores[token] = -math.inf
    if params.top_k > 0:
        kth = sorted(scores, reverse=True)[min(max(params.top_k, 3), len(scores)) - 1]
        scores = [s if s >= kth else -math.inf for s in scores]
    if forbid_end:
        scores[end_token] = -math.inf
    weights = {i: math.exp(s - largest) for i, s in enumerate(scores) if s > -math.inf}
    whole = sum(weights.values())
    return {i: w / whole for i, w in weights.items()}


def distribution(
    logits: np.ndarray,
    history: np.ndarray,
    rows: list[GenerationParams],
    end_token: int,
    forbid_end: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    columns = columns_of(rows)
    scores = (logits / columns.temperature[:, None, None]).astype(np.float32)
    penalize(scores, history, columns.penalty)
    return candidates(scores, columns, end_token, forbid_end)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(row_settings, min_size=1, max_size=4),
    vocab=st.integers(5, 60),
    levels=st.sampled_from([0, 3, 12]),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
)
def test_distribution_is_that_of_the_plain_sampler(
    rows: list[GenerationParams], vocab: int, levels: int, seed: int, data: st.DataObject
) -> None:
    logits, history = drawn_logits(seed, len(rows), vocab, levels)
    if levels:
        history[:] = -1  # equal scores stay exactly equal
    forbid = np.array([data.draw(st.booleans()) for _ in rows])
    index, weights = distribution(logits, history, rows, vocab - 1, forbid)
    for r, params in enumerate(rows):
        for h in range(logits.shape[1]):
            expected = plain_distribution(
                logits[r, h].tolist(), history[r, :, h].tolist(), params, vocab - 1, bool(forbid[r])
            )
            if expected is None:
                continue
            found = {
                int(i): w / weights[r, h].sum()
                for i, w in zip(index[r, h], weights[r, h], strict=True)
                if w > 0
            }
            # exp underflows to 0 in both for hopeless candidates.
            expected = {i: p for i, p in expected.items() if p > 1e-30}
            assert set(expected) <= set(found)
            assert all(found[i] < 1e-25 for i in set(found) - set(expected))
            for token, probability in expected.items():
                assert found[token] == pytest.approx(probability, rel=1e-4, abs=1e-9)


def test_official_size_agrees_too() -> None:
    random = np.random.default_rng(0)
    params = GenerationParams()
    logits = random.standard_normal((3, 4, 626)).astype(np.float32) * 3
    history = random.integers(0, 626, (3, PENALTY_WINDOW, 4))
    history[:, ::2] = logits.argmax(-1)[:, None]  # penalise what leads
    index, weights = distribution(logits, history, [params] * 3, 625, np.zeros(3, dtype=np.bool_))
    compared = 0
    for r in range(3):
        for h in range(4):
            expected = plain_distribution(
                logits[r, h].tolist(), history[r, :, h].tolist(), params, 625, False
            )
            if expected is not None:
                compared += 1
                kept = {int(i) for i, w in zip(index[r, h], weights[r, h], strict=True) if w > 0}
                assert kept == set(expected)
    assert compared > 6


@given(seed=st.integers(0, 1000), uniform=st.floats(0, 1, exclude_max=True))
def test_draw_inverts_the_cumulative_distribution(seed: int, uniform: float) -> None:
    random = np.random.default_rng(seed)
    weights = random.random((1, 1, 7)) * (random.random((1, 1, 7)) > 0.4)
    weights[0, 0, 2] = 0.5
    index = random.permutation(50)[:7].reshape(1, 1, 7)
    token = int(draw(index, weights, np.array([[uniform]]))[0, 0])
    running = 0.0
    for i, w in zip(index[0, 0], weights[0, 0] / weights.sum(), strict=True):
        running += w
        if w > 0 and (running > uniform + 1e-12 or int(i) == token):
            assert int(i) == token
            break
    assert weights[0, 0][index[0, 0] == token] > 0


def test_draw_at_the_edge_never_takes_a_removed_candidate() -> None:
    weights = np.array([[[0.1, 0.7, 0.0]]])
    almost_one = np.array([[np.nextafter(1.0, 0.0)]])
    assert draw(np.array([[[4, 5, 6]]]), weights, almost_one)[0, 0] == 5
    assert draw(np.array([[[4, 5, 6]]]), np.array([[[0.0, 0.7, 0.1]]]), np.zeros((1, 1)))[0, 0] == 5


def test_a_forbidden_end_may_outweigh_all_others_beyond_float64() -> None:
    """Its weight relative to theirs is e**994: theirs must not vanish with it."""
    columns = columns_of([GenerationParams(temperature=0.5, top_p=1.0, top_k=0)] * 2)
    logits = np.array([[[1.0, 3.0, 2.0, -1.0, 500.0]]] * 2, dtype=np.float32)
    history = np.full((2, PENALTY_WINDOW, 1), -1)
    random = np.array([[0.0], [np.nextafter(1.0, 0.0)]])
    tokens = sample(logits, history, columns, random, 4, np.array([True, True]))
    # Beside the end, top-p keeps the two largest only: the others' share is 0 in float64.
    assert tokens[:, 0].tolist() == [2, 1]


def test_frequencies_follow_the_probabilities() -> None:
    random, count = np.random.default_rng(1), 20000
    params = GenerationParams(temperature=1.0, top_p=0.9, top_k=5)
    row = random.standard_normal(30).astype(np.float32)
    expected = plain_distribution(row.tolist(), [], params, 29, False)
    assert expected is not None
    columns = columns_of([params] * count)
    logits = np.broadcast_to(row, (count, 1, 30))
    history = np.full((count, PENALTY_WINDOW, 1), -1)
    tokens = sample(
        logits, history, columns, random.random((count, 1)), 29, np.zeros(count, dtype=np.bool_)
    )
    for token, probability in expected.items():
        assert (tokens == token).mean() == pytest.approx(probability, abs=0.02)


def test_strided_logits_are_penalised_like_contiguous_ones() -> None:
    random = np.random.default_rng(2)
    logits = random.standard_normal((50, 4, 2)).astype(np.float32).T  # strides reversed
    columns = columns_of([GenerationParams(repetition_penalty=5.0, temperature=1.0)] * 2)
    history = np.argsort(logits, axis=-1)[..., -PENALTY_WINDOW:].transpose(0, 2, 1)
    arguments = (history, columns, np.full((2, 4), 0.5), 49, np.zeros(2, dtype=np.bool_))
    np.testing.assert_array_equal(
        sample(logits, *arguments), sample(np.ascontiguousarray(logits), *arguments)
    )


def test_a_step_of_four_heads_costs_less_than_one_head_in_plain_loops() -> None:
    """Both take turns, so that a busy machine slows both."""
    random = np.random.default_rng(3)
    params, columns = GenerationParams(), columns_of([GenerationParams()])
    logits = random.standard_normal((1, 4, 626)).astype(np.float32)
    history = random.integers(0, 626, (1, PENALTY_WINDOW, 4))
    arguments = (logits, history, columns, random.random((1, 4)), 625, np.zeros(1, dtype=np.bool_))
    plain = (logits[0, 0].tolist(), history[0, :, 0].tolist(), params, 625, False)
    times: list[list[float]] = [[], []]
    for _ in range(30):
        started = time.perf_counter()
        sample(*arguments)
        between = time.perf_counter()
        plain_distribution(*plain)
        times[0].append(between - started)
        times[1].append(time.perf_counter() - between)
    assert min(times[0]) < min(times[1])
