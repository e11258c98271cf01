"""Takes that go wrong are noticed, and drawn again as another seed would have drawn them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chattts_onnx import Bundle
from chattts_onnx.decoding.request import Request
from chattts_onnx.decoding.takes import (
    ALIKE,
    EVERY,
    LONGEST_PERIOD,
    WINDOW,
    Fault,
    Watch,
    loop_start,
)
from chattts_onnx.speech.requests import new_batch
from tests.chattts_onnx.decoding import requested


def request(bundle: Bundle, seed: int, watch: Watch | None = None, **changes: Any) -> Request:
    changes = {"min_new_tokens": 8, **changes}
    return requested.request(bundle, "hello world", seed, watch, **changes)


def ran(bundle: Bundle, *requests: Request) -> None:
    batch = new_batch(bundle, 2, 96)
    batch.run(requests)


def codes(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 40, (length, 4))


@given(start=st.integers(1, 100), period=st.integers(1, LONGEST_PERIOD), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_loop_is_found_within_a_window_and_a_look(start: int, period: int, seed: int) -> None:
    speech = codes(start + period, seed)
    looping = np.concatenate([speech, np.tile(speech[start:], (200 // period + 1, 1))])
    watch, began = Watch(), start + period
    steps = next(n for n in range(1, len(looping)) if watch.look(looping[:n]))
    assert began < steps <= began + WINDOW + EVERY
    found = watch.look(looping[:steps])
    assert found is not None and found[0] is Fault.LOOP and found[1] == steps - WINDOW


@pytest.mark.parametrize("share", [ALIKE - 0.15, ALIKE + 0.15])
def test_a_loop_needs_not_be_exact(share: float) -> None:
    random, speech = np.random.default_rng(3), codes(400, 1)
    for step in range(90, 400):
        kept = random.random(4) < share
        speech[step] = np.where(kept, speech[step - 30], speech[step])
    assert (loop_start(speech) is not None) == (share > ALIKE)


def test_what_does_not_repeat_is_no_loop() -> None:
    assert all(loop_start(codes(length)) is None for length in range(1, 300))


def test_the_next_take_is_what_the_next_seed_says(bundle: Bundle) -> None:
    short = Watch(least=29)
    watched, beside = request(bundle, 3, short, takes=4), request(bundle, 5)
    plain = [request(bundle, seed) for seed in range(3, 7)]
    # The voice is that of the request, whatever the take.
    for other in plain:
        other.speaker = watched.speaker
    ran(bundle, watched, beside)
    ran(bundle, *plain)
    lengths = [len(other.result()) for other in plain]
    taken = next((i for i, length in enumerate(lengths) if length >= 29), 3)
    assert taken > 0
    result = watched.result()
    assert result.refused == (Fault.SHORT,) * taken
    np.testing.assert_array_equal(result.codes, plain[taken].result().codes)
    np.testing.assert_allclose(result.hidden, plain[taken].result().hidden, atol=2e-5)
    assert (result.fault is Fault.SHORT) == (lengths[taken] < 29)
    alone = request(bundle, 5)
    ran(bundle, alone)
    np.testing.assert_array_equal(beside.result().codes, alone.result().codes)


def test_the_last_take_is_cut_where_it_went_wrong(bundle: Bundle) -> None:
    watched = request(bundle, 1, Watch(most=5), takes=2)
    ran(bundle, watched)
    result = watched.result()
    assert len(result) == 5 and not result.finished
    assert (result.refused, result.fault) == ((Fault.LONG,), Fault.LONG)
    once = request(bundle, 1, Watch(most=5), takes=1)
    ran(bundle, once)
    assert (once.result().refused, once.result().fault) == ((), Fault.LONG)


def test_what_was_played_stays_and_the_rest_is_drawn_again(bundle: Bundle) -> None:
    class Once(Watch):
        def look(self, codes: np.ndarray) -> tuple[Fault, int] | None:
            return (Fault.LOOP, 9) if len(codes) == 20 and not watched.refused else None

    watched = request(bundle, 1, Once(), min_new_tokens=30)
    plain = request(bundle, 1, min_new_tokens=30)
    ran(bundle, plain)
    batch = new_batch(bundle, 2, 96)
    batch.add([watched])
    for _ in range(15):
        batch.step()
    assert watched.commit(6, 99) is None
    found = watched.commit(6, 12)
    assert found is not None
    view, before = found[1], found[1].copy()
    batch.run()
    np.testing.assert_array_equal(view, before)
    result, other = watched.result(), plain.result()
    assert result.refused == (Fault.LOOP,)
    np.testing.assert_array_equal(result.codes[:9], other.codes[:9])
    assert len(result) == 30 and (result.codes[9:] != other.codes[9:]).any()
    # The states that predicted the new codes are those of the model after what stayed.
    ids, mask = watched.prompt.ids, np.ones((1, len(watched.prompt)))
    forced, _ = bundle.forced(ids[None], mask, result.codes[None], watched.speaker[None])  # type: ignore[index]
    np.testing.assert_allclose(forced[0], result.hidden, atol=1e-4)


def test_another_take_of_one_that_is_done(bundle: Bundle) -> None:
    first = request(bundle, 3, takes=2)
    ran(bundle, first)
    second = first.another(Fault.SILENT)
    assert second is not None and second.refused == [Fault.SILENT] and first.fault is None
    plain = request(bundle, 4)
    plain.speaker = first.speaker
    ran(bundle, second, plain)
    np.testing.assert_array_equal(second.result().codes, plain.result().codes)
    assert second.another(Fault.SILENT) is None and second.fault is Fault.SILENT
