"""Subtitles of a speech: SRT and WebVTT, a cue a sentence, long ones cut between words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from ..errors import InputError
from .timing import Sentence

SubtitleFormat = Literal["srt", "vtt"]
FORMATS: tuple[SubtitleFormat, ...] = ("srt", "vtt")

# Two lines of 42, as broadcasters have it; a Chinese character is as wide as two letters.
_WIDTH = 84
_CLAUSE = "，、；：,;:"


def subtitle_format(path: Path) -> SubtitleFormat:
    """The format that a file's suffix names; :class:`InputError` where none does."""
    for form in FORMATS:
        if path.suffix.lower() == f".{form}":
            return form
    raise InputError(f"{path} is no name of subtitles; expected one that ends in .srt or .vtt.")


def subtitles(sentences: Sequence[Sentence], form: SubtitleFormat) -> str:
    """The text of a subtitle file."""
    mark = "," if form == "srt" else "."
    cues = [cue for sentence in sentences for cue in _cues(sentence)]
    blocks = [
        f"{number}\n{_clock(start, mark)} --> {_clock(end, mark)}\n{text}\n"
        for number, (text, start, end) in enumerate(cues, 1)
    ]
    return "\n".join([*(["WEBVTT\n"] if form == "vtt" else []), *blocks])


def _cues(sentence: Sentence) -> Iterator[tuple[str, float, float]]:
    """(text, start, end) of parts that fit on a screen."""
    text, words = sentence.text, sentence.words
    if _width(text) <= _WIDTH or len(words) < 2:
        yield _line(text), sentence.start, sentence.end
        return
    parts = -(-_width(text) // _WIDTH)
    first = 0
    for index in range(1, len(words) + 1):
        end = words[index].at if index < len(words) else len(text)
        width = _width(text[words[first].at : end])
        full = width >= _width(text) / parts
        clause = width > _WIDTH / 2 and text[:end].rstrip()[-1:] in _CLAUSE
        if index == len(words) or full or clause:
            begin = words[first].at if first else 0
            start = words[first].start if first else sentence.start
            close = sentence.end if index == len(words) else words[index - 1].end
            yield _line(text[begin:end]), start, close
            first = index


def _line(text: str) -> str:
    # An empty line ends a cue, and WebVTT's times are told by their arrow.
    return " ".join(text.split()).replace("-->", "→")


def _width(text: str) -> int:
    return sum(1 if character < "\u2e80" else 2 for character in text)


def _clock(seconds: float, mark: str) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    minutes, second = divmod(whole, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{mark}{thousandths:03d}"
