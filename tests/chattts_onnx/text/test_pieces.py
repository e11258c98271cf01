"""Long text: where it is cut, and in how much memory."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chattts_onnx import InputError
from chattts_onnx.text import Piece, TextOptions, TextTokenizer, split_pieces
from chattts_onnx.text.core.tags import TAG
from chattts_onnx.text.pieces import PARAGRAPH, SENTENCE
from chattts_onnx.text.sentences import MAX_SENTENCE, split_sentences
from tests.official import TOKENIZER

OFFICIAL = TOKENIZER / "tokenizer.json"


def count(text: str) -> int:
    """One token a Chinese character, tag or Latin word, as WordPiece has it at best."""
    return len(re.findall(rf"{TAG.pattern}|[A-Za-z']+|[^\sA-Za-z]", text))


def cut(text: str, limit: int = 20, **options: bool) -> list[Piece]:
    return list(split_pieces(text, count, limit, **options))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("你好。再见！", ["你好。", "再见！"]),
        ("他说：“好的。”走了。", ["他说：“好的。”", "走了。"]),
        ("Dr. Smith paid $3.50. He left.", ["Dr. Smith paid $3.50.", "He left."]),
        ("See a.com?b=1 now. OK?", ["See a.com?b=1 now.", "OK?"]),
        ("J. K. Rowling wrote. No. 5 is it.", ["J. K. Rowling wrote.", "No. 5 is it."]),
        ("Really?! Yes... no.", ["Really?!", "Yes...", "no."]),
        ("一行\n二行", ["一行。", "二行"]),
        ("a wrapped\nline. Next", ["a wrapped\nline.", "Next"]),
        ("Title\n\nText.", ["Title.", "Text."]),
        ("等等……好。", ["等等……", "好。"]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert [s for s, _ in split_sentences(text) if s] == sentences
    # However the text comes in, the sentences are the same.
    assert [s for s, _ in split_sentences(iter(text)) if s] == sentences


def test_sentences_are_packed_up_to_the_limit() -> None:
    pieces = cut("一二三。四五六。七八九。天地人和来。", 10)
    assert [p.text for p in pieces] == ["一二三。四五六。", "七八九。天地人和来。"]
    assert [p.tokens for p in pieces] == [8, 10]


def test_pauses_follow_what_ends_a_piece() -> None:
    pieces = cut("春天来了。" + "夏天来了，" * 4 + "完。\n\n秋天。", 12)
    pauses = {p.text: p.pause for p in pieces}
    assert pauses["春天来了。"] == 0.35
    assert pauses["秋天。"] == 0.7
    assert next(p.pause for p in pieces if p.text.endswith("，")) == 0.15
    assert [p.pause for p in pieces if p.text.endswith("完。")] == [0.7]


def test_a_long_sentence_is_cut_at_clauses_evenly() -> None:
    pieces = cut("一二三四五六七八，" * 5 + "完。", 20)
    assert all(p.text.endswith(("，", "。")) for p in pieces)
    assert max(p.tokens for p in pieces) <= 20 and min(p.tokens for p in pieces) >= 10


def test_never_inside_a_tag_number_or_word() -> None:
    text = "wonderful [uv_break] things cost 1234567 dollars here and [laugh] there " * 6
    pieces = cut(text, 16)
    assert all(p.tokens <= 16 for p in pieces)
    number = "one million two hundred thirty four thousand five hundred sixty seven"
    assert sum(number in p.text for p in pieces) == 6
    words = {*["wonderful", "things", "cost", "dollars", "here", "and", "there"], *number.split()}
    for piece in pieces:
        assert set(TAG.sub(" ", piece.text).split()) <= words
    assert sum(p.text.count("[laugh]") for p in pieces) == 6
    chinese = cut("数量增加到一千二百三十四万五千六百七十八个单位后又" * 4, 24)
    assert sum("一千二百三十四万五千六百七十八" in p.text for p in chinese) == 4


@settings(max_examples=60)
@given(
    text=st.text("天地人一二三，。？ab [laugh]\n", max_size=200),
    limit=st.integers(8, 40),
)
def test_nothing_is_lost_and_nothing_is_too_long(text: str, limit: int) -> None:
    pieces = cut(text, limit, normalized=True)
    assert all(p.tokens == count(p.text) for p in pieces)
    # Marks alone say nothing.
    assert [c for p in pieces for c in p.text if c.isalnum()] == list(filter(str.isalnum, text))
    atoms = re.findall(r"[A-Za-z]+|[一二三]+", text)
    assert all(p.tokens <= limit + max(map(len, atoms), default=0) for p in pieces)


def test_a_text_without_any_end_is_cut_in_bounded_parts() -> None:
    assert max(len(s) for s, _ in split_sentences("好" * 10000)) <= MAX_SENTENCE
    assert sum(p.tokens for p in cut("好" * 3000, 50)) == 3000


def test_hours_of_text_in_constant_memory() -> None:
    def lines(count: int) -> Iterator[str]:
        for number in range(count):
            yield f"第{number}句话说今天天气很好，我们出去走走吧。\n"

    def peak(lines_: int) -> tuple[int, int]:
        tracemalloc.start()
        pieces = sum(1 for _ in split_pieces(lines(lines_), count, 60))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return pieces, size

    peak(50)  # first use fills caches
    few, small = peak(100)
    many, large = peak(1000)
    assert many > 8 * few and large < small + 200_000


def test_wrong_limit_is_named() -> None:
    with pytest.raises(InputError, match="piece length is 2"):
        cut("好", 2)


def test_options_and_report_reach_every_sentence() -> None:
    from chattts_onnx.text import Report

    report = Report()
    pieces = split_pieces("有2个。有3个😀。", count, 50, TextOptions(numbers="digits"), report)
    assert [p.text for p in pieces] == ["有二个。有三个。"]
    assert report.counts() == {"number": 2, "emoji": 1}


@pytest.mark.skipif(not OFFICIAL.is_file(), reason="no official tokenizer here")
def test_with_the_official_tokenizer() -> None:
    tokenizer = TextTokenizer.load(OFFICIAL)

    def tokens(text: str) -> int:
        return len(tokenizer.encode(text))

    text = (
        "截至2024年，四川美食确实以辣闻名[uv_break]，但也有￥12.5不辣的选择。It's 3:30 pm now! "
        * 20
    )
    pieces = list(split_pieces(text, tokens, 96))
    assert all(60 < p.tokens <= 96 for p in pieces[:-1])
    joined = "".join(p.text for p in pieces)
    assert joined.count("[uv_break]") == 20 and joined.count("十二元五角") == 20
    assert "[UNK]" not in tokenizer.tokens(joined)


def test_sentences_stay_apart_for_a_model_that_knows_no_others() -> None:
    text = "One. Two, three.\n\nFour."
    assert [p.text for p in cut(text, 60)] == ["One. Two, three.", "Four."]
    apart = cut(text, 60, apart=True)
    assert [p.text for p in apart] == ["One.", "Two, three.", "Four."]
    assert [p.pause for p in apart] == [SENTENCE, PARAGRAPH, PARAGRAPH]
