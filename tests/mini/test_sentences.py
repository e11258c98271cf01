from __future__ import annotations

import pytest

from mini.grammar import SLOTS, TEMPLATES
from mini.sentences import draw_split, is_heldout, spell


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (19, "nineteen"),
        (20, "twenty"),
        (42, "forty two"),
        (100, "one hundred"),
        (742, "seven hundred forty two"),
        (913, "nine hundred thirteen"),
    ],
)
def test_numbers_are_spelled_as_they_are_read(number: int, words: str) -> None:
    assert spell(number) == words


@pytest.mark.parametrize("number", [-1, 1000])
def test_numbers_outside_are_refused(number: int) -> None:
    with pytest.raises(ValueError, match="expected a number from 0 to 999"):
        spell(number)


def test_splits_share_no_sentence_and_repeat_by_seed() -> None:
    train, heldout = draw_split(500, 0, False), draw_split(50, 0, True)
    assert not set(train) & set(heldout)
    assert all(is_heldout(text) for text in heldout)
    assert draw_split(500, 0, False) == train
    assert draw_split(100, 0, False) == train[:100]
    assert draw_split(100, 1, False) != train[:100]


def test_every_slot_of_every_template_is_filled() -> None:
    assert not [text for text in draw_split(2000, 3, False) if "{" in text]
    assert len(TEMPLATES) > 40
    assert all(len(set(words)) > 1 for words in SLOTS.values())
