"""Properties that hold for every text, whatever the rules say."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chattts_onnx import InputError
from chattts_onnx.text import TextOptions, normalize
from chattts_onnx.text.core import chinese, english
from chattts_onnx.text.core.tags import TAG

_ZH_DIGITS = "零一二三四五六七八九"
_EN_DIGITS = english.digits("0123456789").split()
# Characters that stand beside numbers, so that rules meet one another.
_BESIDE = (
    "12 2024 100 , . - / : % $ ￥ + ( ) = ~ x ^ °C km 年 月 个 第 电话 GPT No. # @ 's am 万 v e "
    "[laugh] [Stts] ² ½"
)
_PIECES = st.sampled_from([*"01234567890123456789", *_BESIDE.split(), " ", "\n", "October "])
_TEXTS = st.lists(_PIECES, max_size=14).map("".join)


def _speaks_no_digit(text: str) -> bool:
    return not any(unicodedata.category(c) in ("Nd", "No") for c in TAG.sub("", text))


@settings(max_examples=300)
@given(text=_TEXTS)
def test_no_digit_is_left_and_none_is_lost_silently(text: str) -> None:
    result = normalize(text)
    assert _speaks_no_digit(result.text), result.text
    # Every run of digits is in an entry of the report, and no entry drops one.
    reported = "".join(change.found for change in result.report)
    for run in re.findall(r"\d+", TAG.sub("", text)):
        assert all(digit in reported for digit in run)
    for change in result.report:
        if any(c.isdigit() for c in change.found):
            assert re.search(r"\w", change.spoken), change


@settings(max_examples=100)
@given(text=st.text(max_size=40))
def test_any_text_at_all(text: str) -> None:
    result = normalize(text)
    assert _speaks_no_digit(result.text)
    assert not re.search(r"\[(?:Stts|Ptts|spk_emb|empty_spk)\]", result.text, re.IGNORECASE)


_TAGS = ["[laugh]", "[uv_break]", "[lbreak]", "[speed_5]", "[oral_2]", "[break_6]", "[laugh_0]"]


@settings(max_examples=200)
@given(parts=st.lists(st.one_of(st.sampled_from(_TAGS), _PIECES, st.text(max_size=3)), max_size=12))
def test_control_tags_come_out_as_they_went_in(parts: list[str]) -> None:
    # What of other characters happens to form a tag is one, too: compare with what was typed.
    text = "".join(part.replace("[", "") if part not in _TAGS else part for part in parts)
    tags = [match.group().lower() for match in TAG.finditer(text)]
    assert TAG.findall(normalize(text).text) == tags


@settings(max_examples=200)
@given(text=_TEXTS)
def test_what_is_speakable_stays_as_it_is(text: str) -> None:
    once = normalize(text).text
    assert normalize(once).text == once


@given(digits=st.text("0123456789", min_size=1, max_size=30))
def test_forced_digits_come_one_by_one(digits: str) -> None:
    options = TextOptions(numbers="digits", yao=False)
    spoken = normalize(f"共{digits}个", options).text.replace("，", "")  # a phone number's groups
    assert spoken == "共" + "".join(_ZH_DIGITS[int(d)] for d in digits) + "个"
    spoken = normalize(f"Say {digits} now", options).text.replace(",", "")
    assert spoken == "Say " + " ".join(_EN_DIGITS[int(d)] for d in digits) + " now"


def _value_zh(words: str) -> int:
    """A reader of its own for Chinese numbers."""
    units = {"十": 10, "百": 100, "千": 1000}
    total = part = digit = 0
    for word in words:
        if word in "零":
            continue
        if word in "一二三四五六七八九两":
            digit = 2 if word == "两" else _ZH_DIGITS.index(word)
        elif word in units:
            part, digit = part + (digit or 1) * units[word], 0
        elif word == "万":
            part, digit = (part + digit) * 10**4, 0
            total, part = total + part, 0
        else:
            total, part, digit = (total + part + digit) * 10**8, 0, 0
    return total + part + digit


@given(value=st.integers(0, 10**12 - 1))
def test_chinese_numbers_mean_what_was_written(value: int) -> None:
    assert _value_zh(chinese.number(str(value))) == value


def _value_en(words: str) -> int:
    small = {english.cardinal(str(n)): n for n in [*range(20), *range(20, 100, 10)]}
    scales = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
    total = part = 0
    for word in words.split():
        if word == "hundred":
            part *= 100
        elif word in scales:
            total, part = total + part * scales[word], 0
        else:
            part += small[word]
    return total + part


@given(value=st.integers(0, 10**15 - 1))
def test_english_numbers_mean_what_was_written(value: int) -> None:
    assert _value_en(english.cardinal(str(value))) == value


def test_report_says_what_was_done() -> None:
    report = normalize("价格￥5 😀 [Stts]\x07").report
    assert report.counts() == {"control character": 1, "emoji": 1, "prompt token": 1, "money": 1}
    assert [c.found for c in report.dropped] == ["😀", "U+0007", "[Stts]"]
    assert "money: '￥5' -> '五元'" in map(str, report)
    assert len(normalize("你好，世界。").report) == 0


def test_unknown_symbol_is_left_out_and_reported() -> None:
    result = normalize("前⟁后", TextOptions(backend="rules"))
    assert result.text == "前后"
    assert [(c.kind, c.found, c.spoken) for c in result.report] == [("unknown symbol", "⟁", "")]


def test_wrong_options_are_named() -> None:
    with pytest.raises(InputError, match="numbers is 'all'; expected one of auto"):
        TextOptions(numbers="all")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="text is int"):
        normalize(3)  # type: ignore[arg-type]


SENTENCES = ["今天是2024年10月1日,气温25度,电话13800138000。", "I paid $1,234.50 at 3:30 pm. "]
CHAINS = ["1", "1.", "a1-", "(", "[", "1/", "$", "http://a.b/", "x@", "'", "1 ", "儿", "A.", "-1"]


@pytest.mark.parametrize("unit", [*SENTENCES, *CHAINS])
def test_time_grows_with_the_length_only(unit: str) -> None:
    def spent(count: int) -> float:
        text = unit * count
        best = float("inf")
        for _ in range(3):
            started = time.perf_counter()
            normalize(text)
            best = min(best, time.perf_counter() - started)
        return best

    short = max(1, 400 // len(unit))
    normalize(unit * short)
    # Sixteen times the text in far less than the 256-fold of a quadratic rule.
    assert spent(16 * short) < 80 * spent(short) + 0.05
