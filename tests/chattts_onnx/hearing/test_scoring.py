from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chattts_onnx.hearing.numerals import chinese_digits
from chattts_onnx.hearing.scoring import canonical_words, edit_distance, score


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
        ("Twelve thousand and five people", "12,005 people"),
        ("one hundred twenty thousand five hundred", "120,500"),
        ("twenty percent", "20%"),
        ("[speed_5]Good morning [uv_break]all.", "good morning, all"),
        ("前方五百米左转，限速六十公里。", "前方500米左转,限速60公里"),
        ("二零二四年五月二十七日", "2024年5月27日"),
        ("一亿两千万人", "120000000人"),
        ("把这个Excel表格导出成PDF", "把这个 excel 表格导出成 pdf。"),
    ],
)
def test_one_form_of_numbers(spoken: str, heard: str) -> None:
    found = score(spoken, heard)
    assert (found.word_errors, found.character_errors) == (0, 0)
    assert found.words > 1


@pytest.mark.parametrize(
    ("wanted", "heard", "errors", "words"),
    [
        ("platform forty two is open", "platform 43 is", 2, 5),
        ("hello", "", 1, 1),
        ("hello", "well hello there", 2, 1),
        ("陈医生在三号诊室", "陈医生在五号诊所", 2, 8),
        ("five hundred", "500,000", 3, 3),
    ],
)
def test_errors_are_counted_by_word_digit_and_chinese_character(
    wanted: str, heard: str, errors: int, words: int
) -> None:
    found = score(wanted, heard)
    assert (found.word_errors, found.words) == (errors, words)


def test_character_errors_are_finer_than_word_errors() -> None:
    found = score("the doctor", "the docker")
    assert (found.word_errors, found.words) == (1, 2)
    assert (found.character_errors, found.characters) == (2, 9)


def test_tens_and_units_are_one_number_but_units_are_not() -> None:
    assert canonical_words("forty two") == ["4", "2"]
    assert canonical_words("four two") == ["4", "2"]
    assert canonical_words("two hundred and five") == ["2", "0", "5"]
    assert canonical_words("zero point") == ["0", "point"]


@pytest.mark.parametrize(
    ("numeral", "digits"),
    [
        ("十五", "15"),
        ("一百零三", "103"),
        ("三千二百", "3200"),
        ("两万零五十", "20050"),
        ("一二三", "123"),
    ],
)
def test_chinese_numerals(numeral: str, digits: str) -> None:
    assert chinese_digits(numeral) == digits


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("kitten", "sitting", 3),
        ("", "abc", 3),
        ("abc", "axbxc", 2),
        ("abcd", "bcd", 1),
        ("ab", "ba", 2),
    ],
)
def test_insertions_deletions_and_substitutions_cost_one(
    first: str, second: str, distance: int
) -> None:
    assert edit_distance(first, second) == distance == edit_distance(second, first)


@given(st.text(alphabet="abc", max_size=8), st.text(alphabet="abc", max_size=8))
def test_edit_distance_is_a_distance(first: str, second: str) -> None:
    distance = edit_distance(first, second)
    assert distance == edit_distance(second, first)
    assert (distance == 0) == (first == second)
    assert abs(len(first) - len(second)) <= distance <= max(len(first), len(second))


def test_lengths_are_those_of_what_was_wanted() -> None:
    chinese = score("你好世界", "你好", "zh")
    assert (chinese.syllables, chinese.syllable_errors, chinese.words) == (4, 2, 0)
    english = score("one more word", "one", "en")
    assert (english.words, english.word_errors, english.syllables) == (3, 2, 0)
    assert score("hello 你好", "hello 你好", "zh").syllable_errors == 0
