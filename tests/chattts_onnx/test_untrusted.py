from __future__ import annotations

from pathlib import Path

import pytest

from chattts_onnx.untrusted import brief, brief_text, parse_json, read_limited


def test_files_are_read_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_limited(path, 5) == b"12345"
    with pytest.raises(ValueError, match="more than 4 bytes"):
        read_limited(path, 4)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "{", "\ud800"])
def test_json_fails_with_value_error_alone(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_values_are_short_in_messages() -> None:
    bomb: list[object] = ["x"]
    for _ in range(40):
        bomb = [bomb] * 9
    for value in (bomb, "a" * 9999, {"a" * 999: 1}, [1] * 999, 10**9999, "\ud800", b"\xff" * 999):
        text = brief(value)
        assert len(text) <= 200
        text.encode()
    assert brief(["a", 1.5, None]) == "['a', 1.5, None]"


def test_texts_are_short_and_can_be_printed() -> None:
    assert brief_text(ValueError("no")) == "no"
    assert brief_text("\ud800é") == "\\ud800é"
    assert len(brief_text("a" * 9999)) < 700


def test_what_just_fits_is_shown_whole() -> None:
    assert brief("a" * 78) == repr("a" * 78) and "..." in brief("a" * 79)
    fits = dict.fromkeys(range(4), "b" * 43)
    assert len(repr(fits)) == 200 and brief(fits) == repr(fits)
    assert brief_text("a" * 600) == "a" * 600 and brief_text("a" * 601) == "a" * 600 + "..."
