from __future__ import annotations

import numpy as np
import pytest

from chattts_onnx import Bundle, InputError, StreamOptions
from chattts_onnx.decoding.takes import Fault
from chattts_onnx.speech.requests import last_request, plan
from chattts_onnx.speech.windows import AudioStream, decode_in_windows

TOLERANCE = 1e-4


def hidden_of(bundle: Bundle, steps: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((steps, bundle.model.hidden_size)).astype(np.float32)


def run(bundle: Bundle, hidden: np.ndarray, options: StreamOptions) -> list[np.ndarray]:
    """Chunks as a generation that grows by one step at a time gives them."""
    stream = AudioStream(bundle.decode_hidden, bundle.model, options)
    chunks: list[np.ndarray] = []
    for steps in range(1, len(hidden)):
        chunks += stream.push(hidden[:steps])
    return chunks + list(stream.finish(hidden))


@pytest.mark.parametrize("steps", [1, 2, 7, 8, 40, 137])
@pytest.mark.parametrize("first", [1, 5])
def test_exact_chunks_joined_equal_the_whole_decode(bundle: Bundle, steps: int, first: int) -> None:
    hidden = hidden_of(bundle, steps)
    options = StreamOptions(first_chunk=first, growth=1.5, max_chunk=20)
    whole = bundle.decode_hidden(hidden[None])[0]
    chunks = run(bundle, hidden, options)
    assert len(whole) == bundle.model.samples(steps)
    np.testing.assert_allclose(np.concatenate(chunks), whole, atol=TOLERANCE)
    if steps == 137:
        assert len(chunks) > 5
        assert len(chunks[0]) == first * bundle.model.samples_per_step


def test_one_step_less_context_is_not_exact(bundle: Bundle) -> None:
    """The stated receptive field is needed: with less, the borders differ."""
    hidden = hidden_of(bundle, 60)
    whole = bundle.decode_hidden(hidden[None])[0]
    context = bundle.model.receptive_field.steps
    errors = []
    for look_ahead in (context, context - 2, 1):
        options = StreamOptions(4, 1.0, 4, look_ahead=look_ahead, crossfade=0)
        joined = np.concatenate(run(bundle, hidden, options))
        assert joined.shape == whole.shape
        errors.append(np.abs(joined - whole).max())
    assert errors[0] < TOLERANCE < errors[1] < errors[2]


def test_crossfade_takes_the_jump_out_of_approximate_borders(bundle: Bundle) -> None:
    """With windows that disagree by 1 everywhere, no two neighbouring samples may."""
    jumps = []
    for fade in (0, 2):
        windows = 0

        def decode(hidden: np.ndarray) -> np.ndarray:
            nonlocal windows
            windows += 1
            shape = (1, bundle.model.samples(hidden.shape[1]))
            return np.full(shape, windows, dtype=np.float32)

        options = StreamOptions(8, 1.0, 8, look_ahead=3, crossfade=fade)
        stream = AudioStream(decode, bundle.model, options)
        hidden = hidden_of(bundle, 80)
        audio = np.concatenate([*stream.push(hidden[:60]), *stream.finish(hidden)])
        assert windows > 5 and audio[0] == 1 and audio[-1] == windows
        assert len(audio) == bundle.model.samples(80)
        jumps.append(np.abs(np.diff(audio)).max())
    assert jumps[0] == 1
    assert jumps[1] <= 1.01 / (2 * bundle.model.samples_per_step)


def test_chunks_do_not_depend_on_when_steps_arrive(bundle: Bundle) -> None:
    hidden = hidden_of(bundle, 50)
    options = StreamOptions(4, 1.0, 4, look_ahead=2)
    slow = run(bundle, hidden, options)
    stream = AudioStream(bundle.decode_hidden, bundle.model, options)
    burst = [*stream.push(hidden[:30]), *stream.push(hidden[:49]), *stream.finish(hidden)]
    np.testing.assert_allclose(np.concatenate(slow), np.concatenate(burst), atol=TOLERANCE)


def test_windows_of_a_long_utterance_equal_the_whole(bundle: Bundle) -> None:
    hidden = hidden_of(bundle, 90)
    whole = bundle.decode_hidden(hidden[None])[0]
    found = decode_in_windows(bundle.decode_hidden, bundle.model, hidden, window=16)
    np.testing.assert_allclose(found, whole, atol=TOLERANCE)
    assert decode_in_windows(bundle.decode_hidden, bundle.model, hidden[:0]).shape == (0,)


def test_window_cost_does_not_grow_with_length(bundle: Bundle) -> None:
    longest = 0

    def decode(hidden: np.ndarray) -> np.ndarray:
        nonlocal longest
        longest = max(longest, hidden.shape[1])
        return bundle.decode_hidden(hidden)

    options = StreamOptions(first_chunk=8, growth=1.0, max_chunk=8)
    stream = AudioStream(decode, bundle.model, options)
    hidden = hidden_of(bundle, 200)
    for steps in range(1, 201):
        for _ in stream.push(hidden[:steps]):
            pass
    assert longest == 8 + 2 * bundle.model.receptive_field.steps


def test_refuses_senseless_options() -> None:
    for senseless in ({"first_chunk": 0}, {"growth": 0.5}, {"first_chunk": 9, "max_chunk": 8}):
        with pytest.raises(InputError, match="chunk sizes"):
            StreamOptions(**senseless)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="look_ahead"):
        StreamOptions(look_ahead=0)


def test_a_take_refused_before_anything_was_heard_changes_nothing(bundle: Bundle) -> None:
    hidden = hidden_of(bundle, 60)
    whole = bundle.decode_hidden(hidden[None])[0]
    request = last_request(bundle, plan(bundle, "hello", bundle.speaker(7), {"seed": 1}))
    request.begin(bundle.model.hidden_size, bundle.model.num_vq)
    request.refused.append(Fault.EMPTY)
    for state in hidden:
        request.keep(np.zeros(bundle.model.num_vq, np.int64), state)
    stream = AudioStream(bundle.decode_hidden, bundle.model, StreamOptions(4, 1.0, 8))
    chunks = []
    while (chunk := stream.next(request)) is not None:
        chunks.append(chunk)
    assert len(chunks) > 3
    heard = np.concatenate([*chunks, *stream.finish(hidden, 1)])
    np.testing.assert_allclose(heard, whole, atol=TOLERANCE)
