"""Sentences of a text that is still being written: as early as can be, however its parts fall."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chattts_onnx.text import split_pieces
from chattts_onnx.text.markup import MarkupReader
from chattts_onnx.text.sentences import live_sentences, split_sentences

Parts = list[str | None]


def cut(parts: Parts) -> list[str]:
    reader = MarkupReader()
    found = live_sentences(parts, reader.read, reader.closed)
    return [sentence for sentence, _ in found if sentence]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Hello there, how are you? Fine.", ["Hello there,", "how are you?", "Fine."]),
        ("Well, that is that. Yes, it is.", ["Well, that is that.", "Yes, it is."]),
        ("好的，我来告诉你，因为……对吧？对。", ["好的，", "我来告诉你，因为……", "对吧？", "对。"]),
        ("嗯，第一，3.14！", ["嗯，第一，", "3.14！"]),
        ("他说：“好！”然后走了。", ["他说：", "“好！”", "然后走了。"]),
        ("1,000 people at 10:30, say I.", ["1,000 people at 10:30,", "say I."]),
        ("It costs $5, or $6. Take it.", ["It costs $5,", "or $6.", "Take it."]),
        ("Read **this, and that** now. Please.", ["Read this, and that now.", "Please."]),
        ("If x < 3, then y > 5, too.", ["If x < 3,", "then y > 5, too."]),
        ("See [the docs, please](http://a.b/c?d) now. Bye", ["See the docs, please now.", "Bye"]),
        ("<think>Hm, well. So.</think>Yes, it is so.", ["Yes,", "it is so."]),
    ],
)
def test_the_first_clause_then_sentences(text: str, sentences: list[str]) -> None:
    assert cut(list(text)) == sentences


TEXT = st.text(alphabet='ab 好的，。！？,.!?:;"”\n-*$1', max_size=40)


@given(text=TEXT, data=st.data())
def test_where_the_parts_fall_does_not_matter(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    parts: Parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert cut(parts) == cut([text]) == cut(list(text))


@given(text=TEXT, data=st.data())
def test_a_text_at_hand_is_cut_alike_however_it_is_read(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    assert list(split_sentences([text[:at], text[at:]])) == list(split_sentences(text))


@given(text=TEXT)
def test_no_letter_is_lost_or_said_twice(text: str) -> None:
    plain = [c for c in MarkupReader().read(text) if c.isalnum()]
    if MarkupReader().closed(text) and not set("*$-1") & set(text):
        assert [c for c in "".join(cut(list(text))) if c.isalnum()] == plain


def test_a_clause_is_given_by_the_character_after_it() -> None:
    read: list[str] = []

    def written() -> Parts:
        for character in "Hello there, how are you? I am fine.":
            read.append(character)
            yield character

    reader = MarkupReader()
    sentences = live_sentences(written(), reader.read, reader.closed)
    assert next(sentences)[0] == "Hello there," and "".join(read) == "Hello there, "
    assert next(sentences)[0] == "how are you?" and "".join(read) == "Hello there, how are you? "


def test_none_asks_for_what_is_there_and_lets_a_clause_come_first_again() -> None:
    assert cut(["Hello you", None, "Good day, sir. ", "Yes, I am, sir. "]) == [
        "Hello you",
        "Good day,",
        "sir.",
        "Yes, I am, sir.",
    ]


def test_a_paragraph_is_a_longer_pause_though_its_end_comes_late() -> None:
    pieces = list(split_pieces(list("One two. Three four.\n\nFive six."), len, 50, live=True))
    assert [(p.text, p.least) for p in pieces] == [
        ("One two.", 0.0),
        ("Three four.", 0.0),
        ("Five six.", 0.7),
    ]
    assert [p.sentences[0].source for p in pieces] == ["One two.", "Three four.", "Five six."]


def test_an_open_block_of_code_is_not_waited_for_without_end() -> None:
    text = "```\n" + "x = 1; y = 2.\n" * 4000
    reader = MarkupReader()
    seen = 0
    for seen, _ in enumerate(live_sentences(list(text), reader.read, reader.closed)):
        if seen > 3:
            break
    assert seen > 3


def test_numbers_are_read_in_the_language_so_far() -> None:
    pieces = split_pieces(["It is 5. ", "7. ", "好。", "8。"], len, 50, live=True)
    assert [p.text for p in pieces] == ["It is five.", "seven.", "好。", "八。"]
