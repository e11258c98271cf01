"""Subtitles that players read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chattts_onnx import InputError
from chattts_onnx.speech.subtitles import subtitle_format, subtitles
from chattts_onnx.speech.timing import Sentence, Word

SHORT = Sentence("Hello\nthere --> you.", 0.5, 3661.25, True, ())


def sentence(text: str) -> Sentence:
    found = list(re.finditer(r"\S+", text))
    words = [Word(m[0], m.start(), float(i), i + 1.0) for i, m in enumerate(found)]
    return Sentence(text, 0.0, float(len(found)), True, tuple(words))


def test_both_formats() -> None:
    assert subtitles([SHORT], "srt") == ("1\n00:00:00,500 --> 01:01:01,250\nHello there → you.\n")
    assert subtitles([SHORT], "vtt") == (
        "WEBVTT\n\n1\n00:00:00.500 --> 01:01:01.250\nHello there → you.\n"
    )


def test_a_long_sentence_is_cut_between_words_and_none_is_lost() -> None:
    text = "one two three four five six seven eight nine ten, " * 5
    cues = subtitles([sentence(text.strip())], "srt").strip().split("\n\n")
    lines = [cue.split("\n")[2] for cue in cues]
    assert " ".join(lines) == text.strip()
    assert all(len(line) <= 84 for line in lines) and len(lines) >= 3
    assert all(line.endswith(",") for line in lines)
    times = [re.findall(r"\d\d:\d\d:(\d\d),000", cue) for cue in cues]
    assert [start for start, _ in times[1:]] == [end for _, end in times[:-1]]


def test_other_suffixes_are_refused() -> None:
    assert subtitle_format(Path("a.VTT")) == "vtt"
    with pytest.raises(InputError, match=r"\.srt or \.vtt"):
        subtitle_format(Path("a.txt"))
