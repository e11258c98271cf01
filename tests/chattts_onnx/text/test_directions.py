"""Pauses and voices that a text directs to, however it is carried and comes in."""

from __future__ import annotations

from typing import Any

import pytest

from chattts_onnx import InputError
from chattts_onnx.text import Report, normalize, split_pieces

Told = list[tuple[str | None, str, float, float]]


def pieces(text: Any, **options: Any) -> Told:
    """Voice, text, silence before and after as the author asked for it."""
    found = split_pieces(text, len, 40, **options)
    return [(piece.voice, piece.text, piece.before, piece.after) for piece in found]


CASES: list[tuple[str, Told]] = [
    ("[pause:1s]Hi there.", [(None, "Hi there.", 1.0, 0.0)]),
    ("Hi there. [pause:500ms]", [(None, "Hi there.", 0.0, 0.5)]),
    ("Hi[pause:1.5]there", [(None, "Hi", 0.0, 1.5), (None, "there", 0.0, 0.0)]),
    ("你好[PAUSE: 2s ]世界", [(None, "你好", 0.0, 2.0), (None, "世界", 0.0, 0.0)]),
    ("Hi.[pause:90s]", [(None, "Hi.", 0.0, 10.0)]),
    ("Hi.[pause:1s][pause:1s] Bye.", [(None, "Hi.", 0.0, 2.0), (None, "Bye.", 0.0, 0.0)]),
    (
        "[voice:anna] Hello, Bob. [voice:bob] Hi. [voice:] They left.",
        [("anna", "Hello, Bob.", 0.0, 0.0), ("bob", "Hi.", 0.0, 0.0), (None, "They left.", 0, 0)],
    ),
    ("[voice:a]One. [voice:a]Two.", [("a", "One. Two.", 0.0, 0.0)]),
    ("你好，[voice:7]世界。", [(None, "你好，", 0.0, 0.0), ("7", "世界。", 0.0, 0.0)]),
    ("[voice:joe(2)+ava(1)] Hi.", [("joe(2)+ava(1)", "Hi.", 0.0, 0.0)]),
    ("[voice:a][pause:1s] Hi.", [("a", "Hi.", 1.0, 0.0)]),
]
MARKUP: list[tuple[str, Told]] = [
    ('<break time="1s"/>Hi.', [(None, "Hi.", 1.0, 0.0)]),
    ('Hi. <break time="2s"/>', [(None, "Hi.", 0.0, 2.0)]),
    ('<speak>Hi<break time="2s"/></speak>', [(None, "Hi", 0.0, 2.0)]),
    ('<p>Hi.</p><break time="300ms"/>', [(None, "Hi.", 0.0, 0.3)]),
    ("<p>Hi.</p>", [(None, "Hi.", 0.0, 0.0)]),
    (
        "- [voice:a] one\n- [voice:b] two",
        [("a", "one.", 0.0, 0.0), ("b", "two.", 0.0, 0.0)],
    ),
    ("<speak>[voice:a]Hi.</speak>", [("a", "Hi.", 0.0, 0.0)]),
]


@pytest.mark.parametrize(("text", "told"), [*CASES, *MARKUP])
def test_directions(text: str, told: Told) -> None:
    assert pieces(text) == told
    assert pieces(iter(text)) == told


@pytest.mark.parametrize(("text", "told"), CASES)
def test_directions_hold_where_nothing_else_is_read(text: str, told: Told) -> None:
    assert pieces(text, normalized=True) == told
    assert pieces(iter(text), normalized=True) == told


def test_a_backslash_makes_it_text() -> None:
    assert pieces(r"Type \[pause:1s] here.") == [(None, "Type, pause, one second, here.", 0, 0)]
    assert pieces(r"Type \[voice:anna] here.") == [(None, "Type, voice, anna, here.", 0.0, 0.0)]


@pytest.mark.parametrize("text", ["[pause] and [voice]", "[pause 1s]", "[voices:x]"])
def test_what_only_looks_like_one_is_text(text: str) -> None:
    assert pieces(text)[0][0] is None and pieces(text)[0][2:] == (0.0, 0.0)
    assert "pause" in pieces(text)[0][1] or "voice" in pieces(text)[0][1]


@pytest.mark.parametrize("length", ["", "long", "-1s", "1 min"])
def test_a_pause_without_a_length_is_an_error(length: str) -> None:
    with pytest.raises(InputError, match=r"\[pause:.*\]: expected a length such as \[pause:1s\]"):
        pieces(f"Hi. [pause:{length}] Bye.")


def test_characters_of_directions_cannot_be_typed() -> None:
    assert pieces("Hi \ue800\ue064 there.") == [(None, "Hi there.", 0.0, 0.0)]


def test_who_speaks_next_waits_for_the_sentence() -> None:
    first, _ = split_pieces("Hi [voice:b] there", len, 40)
    assert first.pause == 0.35


def test_nothing_is_cut_so_a_pause_is_a_mark_and_a_voice_is_reported() -> None:
    found = normalize("One[pause:1s] two [voice:x] three")
    assert found.text == "One. two three"
    assert [str(change) for change in found.report] == [
        "pause: '[pause:1s]' -> '[pause 1.00 s]'",
        "voice: '[voice:x]' -> left out",
    ]


def test_what_never_closes_is_bounded() -> None:
    report = Report()
    text = "[voice:" + "x" * 20_000
    assert sum(len(p.text) for p in split_pieces(iter([text]), len, 40, report=report)) > 20_000
