"""Long text: pieces in one voice, joined with pauses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from chattts_onnx import Bundle, InputError, StreamOptions
from chattts_onnx.speech.narrate import narrate
from chattts_onnx.speech.script import trailing_quiet
from chattts_onnx.text import Report

TEXT = "hello world. good morning. one two three. hello one. hello two. hello three."


def pieces_of(bundle: Bundle, **options: object) -> list[np.ndarray]:
    params = bundle.default_params().but(max_new_tokens=12)
    return list(narrate(bundle, TEXT, params=params, piece_tokens=4, seed=3, **options))  # type: ignore[arg-type]


def test_pieces_are_those_said_alone_with_pauses_between(bundle: Bundle) -> None:
    chunks = pieces_of(bundle, voice="anna")
    speech = [c for c in chunks if np.any(c)]
    silence = [c for c in chunks if not np.any(c)]
    params = bundle.default_params().but(max_new_tokens=12)
    assert len(speech) == 6 and len(silence) == 5
    for i, text in enumerate(TEXT.removesuffix(".").split(". ")):
        alone = bundle.say(f"{text}.", "anna", seed=3 + i, params=params)
        np.testing.assert_allclose(speech[i], alone, atol=1e-4)
    for before, gap in zip(speech, silence, strict=False):
        quiet = trailing_quiet(before, 0)
        assert len(gap) + quiet == round(0.35 * bundle.sample_rate)


def test_stream_and_say_give_the_same_samples(bundle: Bundle) -> None:
    options = StreamOptions(first_chunk=2, max_chunk=4)
    streamed = np.concatenate(pieces_of(bundle, voice=5, stream=options))
    params = bundle.default_params().but(max_new_tokens=12)
    said = bundle.say(TEXT, 5, params=params, piece_tokens=4, seed=3)
    np.testing.assert_allclose(streamed, said, atol=1e-4)


def test_without_a_voice_all_pieces_share_a_drawn_one(bundle: Bundle) -> None:
    drawn = np.concatenate(pieces_of(bundle))
    np.testing.assert_array_equal(drawn, np.concatenate(pieces_of(bundle, voice=3)))
    other = np.concatenate(pieces_of(bundle, voice=4))
    assert other.shape != drawn.shape or (other != drawn).any()


def test_quiet_before_a_pause_is_summed_over_chunks() -> None:
    quiet, loud = np.zeros(5, np.float32), np.array([0.5, 0, 0, 0], np.float32)
    assert trailing_quiet(loud, 100) == 3
    assert trailing_quiet(quiet, trailing_quiet(loud, 100)) == 8
    assert trailing_quiet(quiet, 8) == 13


def test_text_is_read_as_it_is_spoken(bundle: Bundle) -> None:
    def text() -> Iterator[str]:
        for number in range(10_000):
            read.append(number)
            yield "hello world. "

    read: list[int] = []
    params = bundle.default_params().but(max_new_tokens=3)
    chunks = narrate(bundle, text(), 1, stream=StreamOptions(), params=params, piece_tokens=4)
    for _, _chunk in zip(range(8), chunks, strict=False):
        pass
    assert len(read) < 40


def test_numbers_are_spoken_and_reported(bundle: Bundle) -> None:
    report = Report()
    spoken = np.concatenate(list(narrate(bundle, "one 2 three", 1, seed=1, report=report)))
    np.testing.assert_array_equal(spoken, bundle.say("one two three", 1, seed=1))
    assert [str(c) for c in report] == ["number: '2' -> 'two'"]
    asis = bundle.say("one 2 three", 1, seed=1, normalize=False)
    assert asis.shape != spoken.shape or (asis != spoken).any()


def test_styles_become_control_tokens(bundle: Bundle) -> None:
    params = bundle.default_params("refine").but(min_new_tokens=12, temperature=1.0)
    prompt = "[oral_0][laugh_0][break_1]"
    options = {"seed": 4, "refine_params": params}
    by_name = bundle.generate("hello", oral=0, laugh=0, break_=1, **options)
    by_prompt = bundle.generate("hello", skip_refine=False, refine_prompt=prompt, **options)
    np.testing.assert_array_equal(by_name.hidden, by_prompt.hidden)
    unstyled = bundle.generate("hello", skip_refine=False, **options)
    assert (
        by_name.hidden.shape != unstyled.hidden.shape or (by_name.hidden != unstyled.hidden).any()
    )
    with pytest.raises(InputError, match="oral is 12; expected a whole number of 0 to 9"):
        bundle.generate("hello", oral=12)
    with pytest.raises(InputError, match="break is True"):
        bundle.generate("hello", break_=True)
    with pytest.raises(InputError, match="needs the refine pass"):
        bundle.generate("hello", laugh=0, skip_refine=True)


def test_mistakes_are_said_at_once(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="text is empty"):
        narrate(bundle, iter(["\n", "  "]))
    with pytest.raises(InputError, match="speed is 7"):
        narrate(bundle, TEXT, speed=7)
    with pytest.raises(InputError, match="piece_tokens is 1"):
        narrate(bundle, TEXT, piece_tokens=1)


@pytest.mark.parametrize("text", ["...", "🙂", "？！"])
def test_what_says_nothing_is_a_short_silence(bundle: Bundle, text: str) -> None:
    quiet = np.zeros(round(0.25 * bundle.sample_rate), np.float32)
    np.testing.assert_array_equal(bundle.say(text), quiet)
    np.testing.assert_array_equal(np.concatenate(list(bundle.stream(text))), quiet)
