from __future__ import annotations

import numpy as np
import pytest

from mini.alignment import letter_ends, match_groups, text_tokens
from mini.tokenizer import build_tokenizer

PHONEMES = [
    ("^", 0.1), ("h", 0.1), ("a", 0.1), ("ɪ", 0.1), (" ", 0.1), ("j", 0.2), ("u", 0.4), (".", 0.1),
]  # fmt: skip


def test_letters_share_their_words_time() -> None:
    ends = letter_ends("Hi you.", PHONEMES)
    assert np.allclose(ends, [0.25, 0.4, 0.7, 0.9, 1.1, 1.1])


def test_joined_words_are_found_by_their_lengths() -> None:
    assert match_groups([2, 9, 3], [2, 4, 5, 3]) == [1, 2, 1]
    assert match_groups([4, 4], [3, 1, 4]) == [2, 1]


def test_more_groups_than_words_are_refused() -> None:
    with pytest.raises(ValueError, match="3 groups of phonemes for 2 words"):
        match_groups([1, 1, 1], [1, 1])


@pytest.mark.parametrize("text", ["It's five o'clock, ok?", "Room two, please.", "A b c!"])
def test_tokens_are_those_of_the_tokenizer(text: str) -> None:
    found = build_tokenizer().encode(text, add_special_tokens=False).tokens
    assert [token.removeprefix("##") for token in found] == text_tokens(text)
