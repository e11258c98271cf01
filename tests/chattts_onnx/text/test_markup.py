"""Markup: what is taken off a text, and the pauses that it makes."""

from __future__ import annotations

import dataclasses

import pytest

from chattts_onnx import Bundle, InputError
from chattts_onnx.text import (
    Piece,
    Report,
    TextOptions,
    bundle_reading,
    normalize,
    split_pieces,
)
from chattts_onnx.text.core.pauses import LONGEST
from tools.drills.hostile_texts import families, seconds


def cut(text: str, **options: object) -> list[tuple[str, float]]:
    chosen = TextOptions(**options)  # type: ignore[arg-type]
    pieces: list[Piece] = list(split_pieces(text, len, 200, chosen))
    return [(piece.text, piece.pause) for piece in pieces]


@pytest.mark.parametrize(
    ("typed", "pieces"),
    [
        ('你好<break time="500ms"/>世界。', [("你好", 0.5), ("世界。", 0.7)]),
        ('Hi.<break time="2s"/>Bye.', [("Hi.", 2.0), ("Bye.", 0.7)]),
        ('甲<break strength="strong"/>乙', [("甲", 0.7), ("乙", 0.7)]),
        ("甲<break/>乙", [("甲", 0.4), ("乙", 0.7)]),
        ('甲<break time="1s"/><break time="0.5s"/>乙', [("甲", 1.5), ("乙", 0.7)]),
        ('甲<break time="9999s"/>乙', [("甲", LONGEST), ("乙", 0.7)]),
        ('甲<break time="soon"/>乙', [("甲", 0.4), ("乙", 0.7)]),
        ("<p>One</p><p>Two</p>", [("One.", 0.7), ("Two.", 0.7)]),
        ("# Title\nText here.", [("Title.", 0.7), ("Text here.", 0.7)]),
        ("- 苹果\n- 香蕉\n- 梨", [("苹果。", 0.35), ("香蕉。", 0.35), ("梨。", 0.35)]),
        ("甲\n\n乙", [("甲。", 0.7), ("乙", 0.7)]),
    ],
)
def test_breaks_are_pauses_between_pieces(typed: str, pieces: list[tuple[str, float]]) -> None:
    assert cut(typed) == pieces


def test_a_break_before_any_word_breaks_nothing() -> None:
    assert cut('<break time="3s"/>你好。') == [("你好。", 0.7)]
    assert cut('<break time="3s"/>') == []


def test_no_user_can_type_a_pause() -> None:
    assert cut("甲\ue064乙") == [("甲乙", 0.7)]
    assert cut("甲\ue064乙", markup="plain") == [("甲乙", 0.7)]
    assert normalize("甲&#xe064;乙").text == "甲乙"


def test_markup_says_how_a_text_is_read() -> None:
    assert normalize("<b>x</b>", TextOptions(markup="plain")).text == "b x b"
    assert normalize("<b>x</b>").text == "x"
    assert normalize("<foo>好</bar>", TextOptions(markup="ssml")).text == "好"
    assert normalize("<foo>好", TextOptions(markup="auto")).text == "foo 好"
    assert normalize("- 5", TextOptions(markup="markdown")).text == "五"
    with pytest.raises(InputError, match="markup is 'html'; expected one of auto"):
        TextOptions(markup="html")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="default_language is 'fr'"):
        TextOptions(default_language="fr")  # type: ignore[arg-type]


def test_code_is_read_or_left_out() -> None:
    typed = "看。\n```python\nx = 5\n```\n完。"
    assert "等于五" in normalize(typed).text
    skipped = normalize(typed, TextOptions(code="skip"))
    assert skipped.text == "看。完。"
    assert [c.found for c in skipped.report if c.kind == "code"] == ["x = 5"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 4096])
def test_a_text_in_parts_is_read_as_a_whole_one(size: int) -> None:
    typed = (
        "<think>5\n\n6</think>\n你好。\n\n```\na\n\nb\n```\n# 标题\n$$x=\n1$$ 完。\n"
        "|a|b|\n|-|-|\n|1|2|\n"
    )
    whole = [p.text for p in split_pieces(typed, len, 200)]
    parts = (typed[i : i + size] for i in range(0, len(typed), size))
    assert [p.text for p in split_pieces(parts, len, 200)] == whole


def test_thoughts_that_do_not_end_are_thoughts() -> None:
    report = Report()
    assert [p.text for p in split_pieces("好。<think>然后", len, 200, None, report)] == ["好。"]
    assert "thought" in report.counts()


def test_the_sentence_around_tells_the_language() -> None:
    assert [t for t, _ in cut("It rose. 100%. Good.")] == ["It rose. one hundred percent. Good."]
    assert [t for t, _ in cut("100%. That is it.")] == ["one hundred percent. That is it."]
    assert [t for t, _ in cut("涨了。100%。")] == ["涨了。百分之一百。"]
    assert [t for t, _ in cut("100%")] == ["百分之一百"]
    assert [t for t, _ in cut("100%", default_language="en")] == ["one hundred percent"]


@pytest.mark.parametrize(
    ("languages", "default"), [(["en"], "en"), (["zh"], "zh"), (["zh", "en", "mixed"], None)]
)
def test_a_bundle_of_one_language_reads_digits_in_it(
    bundle: Bundle, languages: list[str], default: str | None
) -> None:
    checkpoint = {**bundle.manifest.checkpoint, "abilities": {"languages": languages}}
    manifest = dataclasses.replace(bundle.manifest, checkpoint=checkpoint)
    assert bundle_reading(manifest, None).default_language == default
    caller = TextOptions(default_language="zh")
    assert bundle_reading(manifest, caller) is caller


def test_every_change_says_why() -> None:
    typed = "# 5 mW & <b>歼-20</b> [x](y) $x^2$ ``c`` 😀 花儿 Dr. SQL a.com"
    changes = list(normalize(typed).report)
    assert len(changes) > 8
    assert [str(change) for change in changes if not change.why] == []


# A few of the drill's families, by ratios: sixteen times the text in far less than 256 times the
# time.
@pytest.mark.parametrize("unit", list(families(500))[::20])
def test_hostile_texts_take_time_that_grows_with_the_length_only(unit: str) -> None:
    seconds(unit, 300)
    short = min(seconds(unit, 300) for _ in range(3))
    assert seconds(unit, 4800) < 80 * short + 0.15
