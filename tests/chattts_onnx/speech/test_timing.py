"""When pieces, sentences and words are said."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chattts_onnx import Bundle, StreamOptions
from chattts_onnx.speech.timing import PieceTime, Timings, read_event, weighed_words
from chattts_onnx.text import Piece, Said

RATE = 1000
TEXT = "hello world. good $5 morning. one two three. 你好，世界。"


def followed(said: list[Said], audio: np.ndarray, start: int = 0, size: int = 70) -> Timings:
    def chunks() -> Iterator[np.ndarray]:
        for at in range(0, len(audio), size):
            yield audio[at : at + size]

    timings = Timings()
    piece = Piece(" ".join(each.words for each in said), 1, 0.0, tuple(said))
    joined = np.concatenate(list(timings.follow(piece, chunks(), start, RATE)))
    np.testing.assert_array_equal(joined, audio)
    return timings


def test_words_share_the_sound_by_length_and_silence_belongs_to_none() -> None:
    loud, quiet = np.full(300, 0.5, np.float32), np.zeros(200, np.float32)
    audio = np.concatenate([quiet, loud, quiet, loud, quiet])
    [piece] = followed([Said("abc def", "abc def")], audio, start=1000).pieces
    [sentence] = piece.sentences
    assert (piece.start, piece.end) == (sentence.start, sentence.end) == (1.0, 2.2)
    assert sentence.exact
    assert [(w.text, w.at, w.start, w.end) for w in sentence.words] == [
        ("abc", 0, 1.2, 1.5),
        ("def", 4, 1.7, 2.0),
    ]


def test_sentences_inside_a_piece_are_told_to_be_estimates() -> None:
    said = [Said("One two.", "One two."), Said("Three.", "Three.")]
    first, second = followed(said, np.ones(1400, np.float32)).sentences
    assert not first.exact and not second.exact
    assert (first.start, second.end) == (0.0, 1.4) and first.end == second.start
    assert first.end == pytest.approx(1.4 * 8 / 14, abs=0.011)


@pytest.mark.parametrize(
    ("source", "words", "expected"),
    [
        ("It costs $5 now", "It costs five dollars now", ["It", "costs", "$5", "now"]),
        ("今天3点。", "今天三点。", ["今", "天", "3", "点"]),
        ("Well 🙂 then — go!", "Well then go!", ["Well", "then", "go!"]),
        ("AI很好", "人工智能很好", ["AI", "很", "好"]),
        ("hello [laugh] you", "hello [laugh] you", ["hello", "you"]),
        ("5 mW", "five milliwatts", ["5", "mW"]),
    ],
)
def test_times_are_those_of_the_words_that_were_written(
    source: str, words: str, expected: list[str]
) -> None:
    found = weighed_words(Said(source, words))
    assert [word for word, _, _ in found] == expected
    assert all(source[at:].startswith(word) for word, at, _ in found)


@given(
    source=st.text(alphabet="ab 好，.$1🙂[]", max_size=20),
    words=st.text(alphabet="ab 好，.[]", max_size=20),
    loud=st.lists(st.booleans(), max_size=30),
)
def test_times_are_in_order_and_inside(source: str, words: str, loud: list[bool]) -> None:
    audio = np.repeat(np.array(loud, np.float32), 37)
    if not len(audio):
        return
    [piece] = followed([Said(source, words), Said(source, words)], audio).pieces
    assert piece.end == len(audio) / RATE
    told = [w for s in piece.sentences for w in s.words]
    times = [piece.start, *(t for w in told for t in (w.start, w.end)), piece.end]
    assert all(before <= after for before, after in pairwise(times))
    assert read_event(piece.event()) == piece


def test_pieces_are_where_their_samples_are(bundle: Bundle) -> None:
    heard: list[PieceTime] = []
    timings, at, starts = Timings(heard.append), 0, []
    stream = StreamOptions(first_chunk=2, max_chunk=4)
    for chunk in bundle.stream(TEXT, 5, stream, timings=timings, seed=3, apart=True):
        if len(heard) > len(starts) and heard[-1].end is None:
            starts.append(at)
        at += len(chunk)
    ended = [piece for piece in heard if piece.end is not None]
    assert ended == timings.pieces and len(ended) == 4
    assert [s.text for s in timings.sentences] == [
        "hello world.",
        "good $5 morning.",
        "one two three.",
        "你好，世界。",
    ]
    assert all(s.exact for s in timings.sentences)
    assert [p.index for p in ended] == [0, 1, 2, 3]
    assert ended[-1].end == pytest.approx(at / bundle.sample_rate, abs=1e-3)
    said = bundle.say(TEXT, 5, seed=3, apart=True)
    for piece in ended:  # exactly: from the first sample of the piece to its last
        alone = bundle.say(piece.text, 5, seed=3 + piece.index)
        first = round(piece.start * bundle.sample_rate)
        np.testing.assert_allclose(said[first : first + len(alone)], alone, atol=1e-4)
        assert piece.end is not None
        assert piece.end - piece.start == pytest.approx(len(alone) / bundle.sample_rate, abs=2e-3)


def test_a_packed_text_says_that_sentences_are_estimates(bundle: Bundle) -> None:
    timings = Timings()
    bundle.say(TEXT, 5, seed=3, timings=timings)
    assert len(timings.pieces) == 1 and not any(s.exact for s in timings.sentences)
