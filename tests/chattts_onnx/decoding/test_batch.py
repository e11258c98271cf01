from __future__ import annotations

import numpy as np
import pytest

from chattts_onnx import Bundle, GenerationError, GenerationParams, InputError
from chattts_onnx.decoding.batch import Batch
from chattts_onnx.decoding.request import GrowingArray
from chattts_onnx.decoding.takes import Fault
from chattts_onnx.speech.requests import new_batch, refine_request, refined_text
from chattts_onnx.text import Prompt
from tests.chattts_onnx.decoding.requested import TEXTS, alone, request


def test_request_gives_the_same_alone_and_among_others(bundle: Bundle) -> None:
    """More requests than slots, different settings; they join and leave as it happens."""
    batch = new_batch(bundle, 3, 64)
    settings = [{"temperature": 0.5 + 0.1 * i, "min_new_tokens": 3 * i} for i in range(len(TEXTS))]
    requests = [
        request(bundle, text, i, **changes)
        for i, (text, changes) in enumerate(zip(TEXTS, settings, strict=True))
    ]
    batch.run(requests)
    for i, together in enumerate(requests):
        single = alone(bundle, TEXTS[i], i, **settings[i]).result()
        np.testing.assert_array_equal(together.result().codes, single.codes)
        np.testing.assert_allclose(together.result().hidden, single.hidden, atol=2e-5)
    assert len({len(r.result()) for r in requests}) > 2


def test_late_request_joins_a_running_batch(bundle: Bundle) -> None:
    batch = new_batch(bundle, 2, 64)
    first, late = (request(bundle, TEXTS[i], i, min_new_tokens=20) for i in (0, 1))
    batch.add([first])
    for _ in range(5):
        batch.step()
    batch.run([late])
    np.testing.assert_array_equal(
        late.result().codes, alone(bundle, TEXTS[1], 1, min_new_tokens=20).result().codes
    )


def test_kept_states_are_those_that_predicted_the_codes(bundle: Bundle) -> None:
    done = alone(bundle, "hello world", 4, min_new_tokens=8)
    result = done.result()
    ids = done.prompt.ids[None]
    speaker = bundle.speaker(4)
    assert speaker is not None
    hidden, _ = bundle.forced(ids, np.ones(ids.shape[:2]), result.codes[None], speaker[None])
    np.testing.assert_allclose(result.hidden, hidden[0], atol=2e-5)
    assert result.codes.max() < bundle.model.end_token
    assert result.timings.keys() == {"prefill", "decode", "total"}


def test_limits_of_length(bundle: Bundle) -> None:
    exact = alone(bundle, "hello", 1, min_new_tokens=12, max_new_tokens=12).result()
    assert len(exact) == 12 and not exact.finished
    ended = alone(bundle, "hello", 1, min_new_tokens=5, max_new_tokens=50).result()
    assert len(ended) >= 5 and ended.finished


def test_seed_decides(bundle: Bundle) -> None:
    first, again, other = (
        alone(bundle, "hello world", seed, min_new_tokens=10).result().codes for seed in (3, 3, 5)
    )
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or (first != other).any()


def test_reseeding_each_step_repeats_the_random_numbers(bundle: Bundle) -> None:
    single = request(bundle, "hello", 7, reseed_each_step=True)
    single.begin(4, bundle.model.num_vq)
    first = single.uniforms()
    np.testing.assert_array_equal(first, single.uniforms())
    again = np.random.default_rng([7, 2]).random(bundle.model.num_vq)
    assert single.again(Fault.EMPTY) and (single.uniforms() != again).any()
    assert single.again(Fault.EMPTY)
    np.testing.assert_array_equal(single.uniforms(), again)
    assert (first != again).any()
    np.testing.assert_array_equal(first, np.random.default_rng(7).random(bundle.model.num_vq))
    stream = request(bundle, "hello", 7)
    stream.begin(4, bundle.model.num_vq)
    np.testing.assert_array_equal(first, stream.uniforms())
    assert (first != stream.uniforms()).any()


def test_a_view_ends_where_it_is_told_or_with_the_rows() -> None:
    rows = GrowingArray(1, np.int64)
    for value in range(5):
        rows.append(np.array([value]))
    assert rows.view(1, 3).ravel().tolist() == [1, 2]
    assert rows.view(3, 99).ravel().tolist() == rows.view(3).ravel().tolist() == [3, 4]


class Scripted:
    """A decoder whose logits a test writes: {step: value of the end token}."""

    def __init__(self, bundle: Bundle, end_score: float, poison: int = -1) -> None:
        self._real = bundle.decoder(2, 64)
        self.cache, self.model = self._real.cache, self._real.model
        self.input_ids, self.text_mask = self._real.input_ids, self._real.text_mask
        self.move, self.release = self._real.move, self._real.release
        self.sample = self._real.sample
        self._end_score, self._poison, self._step = end_score, poison, 0

    def prefill(self, first: int, prompts: list[Prompt], speakers: np.ndarray):  # type: ignore[no-untyped-def]
        return self._write(*self._real.prefill(first, prompts, speakers))

    def rewind(self, slot: int, length: int) -> None:
        self._real.rewind(slot, length)

    def draw(self, *_: object) -> None:
        """It draws no codes itself."""

    def step(self, count: int):  # type: ignore[no-untyped-def]
        return self._write(*self._real.step(count))

    def _write(self, hidden: np.ndarray, logits: np.ndarray):  # type: ignore[no-untyped-def]
        logits[..., self.model.end_token] = self._end_score
        if self._step == self._poison:
            logits[0, 0, 3] = np.nan
        self._step += 1
        return hidden, logits


def test_end_at_the_first_step_is_drawn_anew_then_an_error(bundle: Bundle) -> None:
    hopeless = request(bundle, "hello", 0, retries=2)
    draws = 0
    uniforms = hopeless.uniforms

    def counted() -> np.ndarray:
        nonlocal draws
        draws += 1
        return uniforms()

    hopeless.uniforms = counted  # type: ignore[method-assign]
    batch = Batch(Scripted(bundle, end_score=1e4))  # type: ignore[arg-type]
    batch.run([hopeless])
    assert draws == 3
    with pytest.raises(GenerationError, match="first step in 3 draws"):
        hopeless.result()


def test_retry_saves_what_a_fresh_draw_can_save(bundle: Bundle) -> None:
    """With an end that is likely but not certain, retries find another token."""
    outcomes = []
    for retries in (0, 60):
        failed = 0
        for seed in range(12):
            batch = Batch(Scripted(bundle, end_score=2.0))  # type: ignore[arg-type]
            single = request(bundle, "hello", seed, retries=retries, max_new_tokens=1)
            batch.run([single])
            failed += single.error is not None
        outcomes.append(failed)
    assert outcomes[0] > 3 and outcomes[1] == 0


def test_nan_stops_its_row_only_and_names_the_step(bundle: Bundle) -> None:
    batch = Batch(Scripted(bundle, end_score=-1e4, poison=4))  # type: ignore[arg-type]
    rows = [request(bundle, text, i, max_new_tokens=9) for i, text in enumerate(TEXTS[:2])]
    batch.run(rows)
    # Calls 0 and 1 are the prefills, so call 4 is the third step: three codes are kept by then.
    with pytest.raises(
        GenerationError, match=r"'logits', step 3 of the code pass with seed 0: found .* NaN"
    ):
        rows[0].result()
    assert len(rows[1].result()) == 9


def test_refuses_what_can_never_fit(bundle: Bundle) -> None:
    batch = new_batch(bundle, 1, 16)
    with pytest.raises(InputError, match="cache positions"):
        batch.add([request(bundle, "hello", 0, max_new_tokens=30)])


def test_refine_pass_samples_text_and_shares_a_batch_with_codes(bundle: Bundle) -> None:
    params = GenerationParams(temperature=1.5, top_p=1.0, max_new_tokens=20, min_new_tokens=6)
    refine = refine_request(bundle, "hello world", "[oral_0]", params, seed=1)
    single = refine_request(bundle, "hello world", "[oral_0]", params, seed=1)
    code = request(bundle, "good morning", 2, min_new_tokens=10)
    batch = new_batch(bundle, 2, 64)
    batch.run([refine, code])
    other = new_batch(bundle, 1, 64)
    other.run([single])
    np.testing.assert_array_equal(refine.result().codes, single.result().codes)
    assert refine.result().codes.shape[1] == 1
    expected = alone(bundle, "good morning", 2, min_new_tokens=10).result().codes
    np.testing.assert_array_equal(code.result().codes, expected)
    assert isinstance(refined_text(bundle, refine), str)
