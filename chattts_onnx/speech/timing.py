"""Where in the text a speech is: when each piece, sentence and word is said.

A piece's start and end are exact, and so are a sentence's where it is a piece of its own.  The
model gives no alignment, so what lies inside a piece is placed by length: letters share the time in
which there is sound, and silence belongs to no word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import numpy.typing as npt

from ..text import Piece, Said

Floats = npt.NDArray[np.float32]

# How word times are found, said wherever they are given.
BY = "length"
# Sound is looked at in frames of 10 ms; quieter ones hold none of a word.
_FRAMES_PER_SECOND = 100
_LOUD = 0.01
# Single Chinese characters, and what spaces part.
_WORD = re.compile("[\u4e00-\u9fff\u3400-\u4dbf]|[^\\s\u4e00-\u9fff\u3400-\u4dbf]+")
_LETTERS = re.compile(r"[^\W_]")
# A Chinese character is a syllable, about as long as three letters.
_SYLLABLE = 3


@dataclass(frozen=True)
class Word:
    """A word as it was written, from character ``at`` of its sentence; times in seconds."""

    text: str
    at: int
    start: float
    end: float


@dataclass(frozen=True)
class Sentence:
    """A sentence as it was written; ``exact`` where its times are not by length."""

    text: str
    start: float
    end: float
    exact: bool
    words: tuple[Word, ...]


@dataclass(frozen=True)
class PieceTime:
    """Piece number ``index`` and its sentences; ``end`` None while it is being said."""

    index: int
    text: str
    start: float
    end: float | None = None
    sentences: tuple[Sentence, ...] = ()

    def event(self) -> dict[str, Any]:
        """As JSON has it: where it begins, or all that is known once it ended."""
        known = {"index": self.index, "text": self.text, "start": self.start}
        if self.end is None:
            return {"type": "speech.piece.started", **known}
        return {
            "type": "speech.piece.done",
            **known,
            "end": self.end,
            "words_by": BY,
            "sentences": sentence_records(self.sentences),
        }


def read_event(event: Mapping[str, Any]) -> PieceTime:
    """What :meth:`PieceTime.event` told."""
    known = event["index"], event["text"], event["start"], event.get("end")
    return PieceTime(*known, read_sentences(event.get("sentences", ())))


def read_sentences(records: Iterable[Mapping[str, Any]]) -> tuple[Sentence, ...]:
    """What :func:`sentence_records` gave."""
    sentences = []
    for each in records:
        words = tuple(Word(*word) for word in each["words"])
        sentences.append(Sentence(each["text"], each["start"], each["end"], each["exact"], words))
    return tuple(sentences)


def sentence_records(sentences: Sequence[Sentence]) -> list[dict[str, Any]]:
    """Sentences as JSON has them; a word is [text, at, start, end]."""
    return [
        {
            "text": each.text,
            "start": each.start,
            "end": each.end,
            "exact": each.exact,
            "words": [[word.text, word.at, word.start, word.end] for word in each.words],
        }
        for each in sentences
    ]


class Timings:
    """Collects the times of a speech's ``pieces``; ``listener`` hears of each twice, as it begins
    and as it ends, in the thread that speaks."""

    def __init__(self, listener: Callable[[PieceTime], object] | None = None) -> None:
        self.pieces: list[PieceTime] = []
        self._listener = listener or (lambda piece: None)

    @property
    def sentences(self) -> list[Sentence]:
        """All sentences in order."""
        return [sentence for piece in self.pieces for sentence in piece.sentences]

    def add(self, piece: PieceTime) -> None:
        """Take a piece that begins or has ended."""
        if piece.end is not None:
            self.pieces.append(piece)
        self._listener(piece)

    def follow(
        self, piece: Piece, chunks: Iterator[Floats], start: int, rate: int
    ) -> Iterator[Floats]:
        """``chunks`` of a piece whose first sample is number ``start`` of the speech."""
        text = " ".join(said.source for said in piece.sentences) or piece.text
        begun = PieceTime(len(self.pieces), text, _seconds(start, rate))
        self.add(begun)
        envelope, samples = _Envelope(rate), 0
        for chunk in chunks:
            envelope.add(chunk)
            samples += len(chunk)
            yield chunk
        end = start + samples
        said = piece.sentences or (Said(piece.text, piece.text),)
        sentences = _place(said, start, end, rate, envelope.loud())
        ended = PieceTime(begun.index, text, begun.start, _seconds(end, rate), sentences)
        self.add(ended)


class _Envelope:
    """Peaks of frames of 10 ms."""

    def __init__(self, rate: int) -> None:
        self._size = max(1, rate // _FRAMES_PER_SECOND)
        self._rest = np.zeros(0, np.float32)
        self._peaks: list[Floats] = []

    def add(self, chunk: Floats) -> None:
        joined = np.concatenate([self._rest, np.abs(chunk)])
        whole = len(joined) // self._size * self._size
        self._peaks.append(joined[:whole].reshape(-1, self._size).max(axis=1, initial=0))
        self._rest = joined[whole:]

    def loud(self) -> npt.NDArray[np.int64]:
        """Numbers of the frames that hold sound; all of them where none does."""
        last = [np.array([self._rest.max()])] if len(self._rest) else []
        peaks = np.concatenate([*self._peaks, *last, np.zeros(0)])
        found = np.flatnonzero(peaks > _LOUD)
        return found if len(found) else np.arange(len(peaks))


def _place(
    said: Sequence[Said], start: int, end: int, rate: int, loud: npt.NDArray[np.int64]
) -> tuple[Sentence, ...]:
    words = [weighed_words(each) for each in said]
    shares = np.cumsum([0.0, *(weight for each in words for _, _, weight in each)])
    marks = np.round(shares / (shares[-1] or 1.0) * len(loud)).astype(int)
    first, last = _seconds(start, rate), _seconds(end, rate)

    def time(frame: float) -> float:
        return round(min(first + frame / _FRAMES_PER_SECOND, last), 3)

    sentences, number, latest = [], 0, 0
    for sentence, own in zip(said, words, strict=True):
        placed = []
        for text, at, _ in own:
            here, there = marks[number], marks[number + 1]
            begin = max(latest, int(loud[min(here, len(loud) - 1)]) if len(loud) else 0)
            latest = close = int(loud[there - 1]) + 1 if there > here else begin
            placed.append(Word(text, at, time(begin), time(close)))
            number += 1
        alone = len(said) == 1
        sentences.append(
            Sentence(
                sentence.source,
                first if alone or not placed else placed[0].start,
                last if alone or not placed else placed[-1].end,
                alone,
                tuple(placed),
            )
        )
    return tuple(sentences)


def weighed_words(said: Said) -> list[tuple[str, int, float]]:
    """The written words of a sentence with their place in it and the length of what is said for
    them; words that nothing is said for are left out."""
    written = list(_WORD.finditer(said.source))
    spoken = _WORD.findall(said.words)
    weights = [0.0] * len(written)
    matcher = SequenceMatcher(None, [_key(m[0]) for m in written], [*map(_key, spoken)], False)
    for kind, low, high, first, last in matcher.get_opcodes():
        own = [_weight(word) for word in spoken[first:last]]
        if kind == "equal":
            weights[low:high] = own
        elif low == high and written:  # said beside a word: a unit's name, a tag
            weights[max(0, low - 1)] += sum(own)
        else:
            sizes = [len(_key(m[0])) for m in written[low:high]]
            sizes = sizes if any(sizes) else [1] * len(sizes)
            weights[low:high] = [sum(own) * size / sum(sizes) for size in sizes]
    return [(m[0], m.start(), w) for m, w in zip(written, weights, strict=True) if w > 0]


def _key(word: str) -> str:
    return "".join(_LETTERS.findall(word)).lower()


def _weight(word: str) -> float:
    letters = _LETTERS.findall(word)
    if not letters or word.startswith("["):
        return 0.0
    return _SYLLABLE if not word.isascii() and len(letters) == 1 else len(letters) + 1


def _seconds(samples: int, rate: int) -> float:
    return round(samples / rate, 3)
