from __future__ import annotations

import random

import numpy as np

from mini.lesson import BREAKS, FRAME_SECONDS, insert_breaks, timed_tokens, tokens_at
from mini.tokenizer import vocabulary

PIECES = [("你", "ni↗"), ("好", "xau↓"), ("，", ","), ("Bob", " bˈɑb"), ("'s", "s"), (".", ".")]
COUNT = sum(len(phonemes) for _, phonemes in PIECES)
ENDS = np.arange(1, COUNT + 1, dtype=np.float32) * np.float32(0.1)


def test_tokens_end_with_their_phonemes_and_the_space_after() -> None:
    timed = timed_tokens(PIECES, ENDS)
    tokens = vocabulary()
    assert [t.id for t in timed[:3]] == [tokens["你"], tokens["好"], tokens["，"]]
    # the space before Bob belongs to the comma
    assert np.allclose([t.end for t in timed[:3]], [0.3, 0.7, 0.9])
    assert [t.boundary for t in timed[:3]] == [False, False, True]
    assert np.isclose(timed[-1].end, ENDS[-1])


def test_pieces_of_a_word_end_with_their_own_sounds() -> None:
    # wel, come
    phonemes = "wˈɛlkəm"
    timed = timed_tokens([("welcome", phonemes)], np.arange(1, 8, dtype=np.float32))
    tokens = vocabulary()
    assert [t.id for t in timed] == [tokens["wel"], tokens["##come"]]
    assert [t.end for t in timed] == [4.0, 7.0]


def test_the_token_of_a_step_is_the_one_spoken_in_its_middle() -> None:
    step = 2 * FRAME_SECONDS
    ends = np.asarray([1.0, 2.4, 4.6], dtype=np.float32) * np.float32(step)
    assert tokens_at(ends, 6).tolist() == [0, 1, 2, 2, 2, 2]


def test_a_break_is_a_token_and_as_much_silence() -> None:
    timed = timed_tokens(PIECES, ENDS)
    mel = np.random.default_rng(0).standard_normal((220, 100)).astype(np.float32)
    later, longer, ends = insert_breaks(timed, mel, ENDS, random.Random(1))
    added = [token for token in later if token.id in {vocabulary()[n] for n in BREAKS}]
    assert len(added) == 1
    frames = len(longer) - len(mel)
    assert frames in BREAKS.values()
    assert np.isclose(ends[-1] - ENDS[-1], frames * FRAME_SECONDS)
    assert np.isclose(later[-1].end - timed[-1].end, frames * FRAME_SECONDS)
