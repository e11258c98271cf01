from __future__ import annotations

import pytest

from mini.scoring import canonical_words, word_errors


@pytest.mark.parametrize(
    ("spoken", "heard"),
    [
        ("Room nine hundred forty nine is on floor twenty.", "Room 949 is on floor 20."),
        ("The time is five eighteen.", "The time is 5:18."),
        ("The price is seven hundred six dollars and eleven cents.", "The price is $706.11"),
        ("Your code is three two five six.", "Your code is 3256."),
        ("Call zero zero seven, one.", "Call 007-1."),
        ("It closes at twelve o'clock.", "It closes at 12:00."),
        ("The harbour is cancelled.", "the harbor is canceled"),
    ],
)
def test_one_form_of_numbers(spoken: str, heard: str) -> None:
    assert word_errors(spoken, heard)[0] == 0


def test_errors_are_counted_by_word_and_digit() -> None:
    assert word_errors("platform forty two is open", "platform 43 is") == (2, 5)
    assert word_errors("hello", "") == (1, 1)
    assert word_errors("hello", "well hello there") == (2, 1)


def test_tens_and_units_are_one_number_but_units_are_not() -> None:
    assert canonical_words("forty two") == ["4", "2"]
    assert canonical_words("four two") == ["4", "2"]
    assert canonical_words("two hundred and five") == ["2", "0", "5"]
