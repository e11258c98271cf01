from __future__ import annotations

import numpy as np
import pytest

from chattts_onnx import Bundle, InputError, left_pad
from chattts_onnx.decoding.decoder import Decoder
from chattts_onnx.text import Prompt

TOLERANCE = 2e-5


def random_inputs(bundle: Bundle, lengths: list[int], steps: int, seed: int = 0):  # type: ignore[no-untyped-def]
    model, random = bundle.model, np.random.default_rng(seed)
    rows = [
        np.repeat(random.integers(0, model.num_text_tokens, (n, 1)), model.num_vq, axis=1)
        for n in lengths
    ]
    text_ids, mask = left_pad(rows)
    codes = random.integers(0, model.num_audio_tokens, (len(lengths), steps, model.num_vq))
    speaker = random.standard_normal((len(lengths), model.hidden_size)).astype(np.float32)
    return text_ids, mask, codes, speaker


def stepwise(bundle: Bundle, text: np.ndarray, codes: np.ndarray, speaker: np.ndarray):  # type: ignore[no-untyped-def]
    """One row the slow way: prefill of the text, then one step for each code."""
    decoder = bundle.decoder(1, len(text) + len(codes))
    prompt = Prompt(text, np.ones(len(text), dtype=np.bool_))
    hidden, logits = decoder.prefill(0, [prompt], speaker[None])
    states, scores = [hidden[0]], [logits[0]]
    for code in codes[:-1]:
        decoder.input_ids[0, 0] = code
        hidden, logits = decoder.step(1)
        states.append(hidden[0].copy())
        scores.append(logits[0].copy())
    return np.stack(states), np.stack(scores)


def test_ragged_left_padded_batch_equals_cached_steps(bundle: Bundle) -> None:
    text_ids, mask, codes, speaker = random_inputs(bundle, [7, 3, 11], 9)
    hidden, logits = bundle.forced(text_ids, mask, codes, speaker)
    assert hidden.shape == (3, 9, bundle.model.hidden_size)
    assert logits.shape == (3, 9, bundle.model.num_vq, bundle.model.num_audio_tokens)
    for row, length in enumerate([7, 3, 11]):
        text = text_ids[row, text_ids.shape[1] - length :]
        states, scores = stepwise(bundle, text, codes[row], speaker[row])
        np.testing.assert_allclose(hidden[row], states, atol=TOLERANCE)
        np.testing.assert_allclose(logits[row], scores, atol=TOLERANCE)


def test_padding_content_does_not_matter(bundle: Bundle) -> None:
    text_ids, mask, codes, speaker = random_inputs(bundle, [4, 9], 5)
    first = bundle.forced(text_ids, mask, codes, speaker)[1]
    text_ids[0, :5] = 3
    np.testing.assert_array_equal(first, bundle.forced(text_ids, mask, codes, speaker)[1])


def test_speaker_of_each_row_and_none(bundle: Bundle) -> None:
    text_ids, mask, codes, speaker = random_inputs(bundle, [6, 6], 4)
    text_ids[:] = text_ids[0]
    codes[:] = codes[0]
    text_ids[:, 1] = bundle.manifest.token("[spk_emb]")
    speaker[1] = 0
    both = bundle.forced(text_ids, mask, codes, speaker)[1]
    none = bundle.forced(text_ids, mask, codes, None)[1]
    assert np.abs(both[0] - both[1]).max() > 1e-3
    np.testing.assert_allclose(both[1], none[1], atol=TOLERANCE)
    scaled = bundle.forced(text_ids, mask, codes, speaker * 3)[1]
    np.testing.assert_allclose(scaled, both, atol=TOLERANCE)


def test_refuses_what_it_cannot_run(bundle: Bundle) -> None:
    text_ids, mask, codes, speaker = random_inputs(bundle, [4, 6], 3)
    with pytest.raises(InputError, match="left-padded"):
        bundle.forced(text_ids, mask[:, ::-1], codes, speaker)
    with pytest.raises(InputError, match=r"codes lie in"):
        bundle.forced(text_ids, mask, codes + bundle.model.num_audio_tokens, speaker)
    with pytest.raises(InputError, match="text_ids have shape"):
        bundle.forced(text_ids[..., 0], mask, codes, speaker)
    with pytest.raises(InputError, match="speaker has shape"):
        bundle.forced(text_ids, mask, codes, speaker[:1])
    with pytest.raises(InputError, match="positions"):
        bundle.forced(text_ids, mask, np.repeat(codes, 100, axis=1), speaker)


def test_ragged_slots_decode_as_each_alone(bundle: Bundle) -> None:
    model, random = bundle.model, np.random.default_rng(3)
    lengths = [5, 2, 9, 4]
    text_ids, _, codes, speaker = random_inputs(bundle, lengths, 8, seed=3)
    prompts = [
        Prompt(text_ids[i, 9 - n :], np.ones(n, dtype=np.bool_)) for i, n in enumerate(lengths)
    ]
    decoder: Decoder = bundle.decoder(4, 64)
    decoder.cache.layer(0)[0][:] = random.standard_normal(decoder.cache.shape)  # stale content
    first = decoder.prefill(0, prompts[:3], speaker[:3])[1].copy()
    before = decoder.cache.layer(1)[0][:3].copy()
    last = decoder.prefill(3, prompts[3:], speaker[3:])[1].copy()
    np.testing.assert_array_equal(decoder.cache.layer(1)[0][:3], before)
    scores = [np.concatenate([first, last])]
    for t in range(7):
        decoder.input_ids[:, 0] = codes[:, t]
        scores.append(decoder.step(4)[1].copy())
    together = np.stack(scores, axis=1)
    for row, length in enumerate(lengths):
        alone = stepwise(bundle, text_ids[row, 9 - length :], codes[row], speaker[row])[1]
        np.testing.assert_allclose(together[row], alone, atol=TOLERANCE)
    assert together.shape[-1] == model.num_audio_tokens


def test_moved_slot_goes_on_where_it_was(bundle: Bundle) -> None:
    text_ids, _, codes, speaker = random_inputs(bundle, [6, 6, 6], 6, seed=5)
    prompts = [Prompt(row, np.ones(6, dtype=np.bool_)) for row in text_ids]
    decoder = bundle.decoder(3, 32)
    decoder.prefill(0, prompts, speaker)
    for t in range(2):
        decoder.input_ids[:, 0] = codes[:, t]
        decoder.step(3)
    decoder.release(0)
    decoder.move(2, 0)
    decoder.input_ids[0, 0], decoder.input_ids[1, 0] = codes[2, 2], codes[1, 2]
    got = decoder.step(2)[1].copy()
    for slot, row in ((0, 2), (1, 1)):
        alone = stepwise(bundle, text_ids[row], codes[row], speaker[row])[1]
        np.testing.assert_allclose(got[slot], alone[3], atol=TOLERANCE)
