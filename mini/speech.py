"""Shards of teacher speech: sentences, voices, audio and how long every phoneme lasts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mini.phoneme_types import Piece

SAMPLE_RATE = 24_000
SHARD_SIZE = 48
FRAME = 600  # samples of a duration's unit
Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Utterance:
    """One sentence as the teacher says it.

    Attributes:
        text: the sentence.
        language: ``zh`` or ``en``.
        voice: coordinates [bases], see :mod:`mini.voices`.
        speed: the level of ``[speed_n]``.
        pieces: characters, words and marks with their phonemes.
        durations: uint16 [phonemes + 2], in units of :data:`FRAME` samples from ``cut`` before
            the audio.
        cut: samples of silence cut off in front.
        audio: float32 [samples] at 24 kHz.
    """

    text: str
    language: str
    voice: NDArray[np.float32]
    speed: int
    pieces: Sequence[Piece]
    durations: NDArray[np.uint16]
    cut: int
    audio: Audio

    def phoneme_ends(self) -> NDArray[np.float32]:
        """Return when each phoneme ends, in seconds of the audio [phonemes]."""
        samples = np.cumsum(self.durations[:-1].astype(np.int64)) * FRAME - self.cut
        return (samples[1:] / SAMPLE_RATE).astype(np.float32)


def shard_path(work: Path, split: str, index: int, folder: str = "speech") -> Path:
    """Return the file of a shard; ``split`` is ``train`` or ``heldout``."""
    return work / folder / f"{split}-{index:05d}.npz"


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays to an ``.npz``; a reader never sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as stream:
        np.savez(stream, **arrays)
    partial.replace(path)


def write_shard(path: Path, utterances: list[Utterance]) -> None:
    """Write one shard, audio as 16-bit integers."""
    facts = [
        {"text": u.text, "language": u.language, "speed": u.speed, "cut": u.cut, "pieces": u.pieces}
        for u in utterances
    ]
    audio = np.concatenate([item.audio for item in utterances])
    write_arrays(
        path,
        {
            "facts": np.array(json.dumps(facts)),
            "voices": np.stack([item.voice for item in utterances]),
            "lengths": np.array([len(item.audio) for item in utterances]),
            "phonemes": np.array([len(item.durations) for item in utterances]),
            "audio": np.round(audio * 32767).clip(-32768, 32767).astype("<i2"),
            "durations": np.concatenate([item.durations for item in utterances]),
        },
    )


def read_shard(path: Path) -> list[Utterance]:
    """Read one shard."""
    with np.load(path, allow_pickle=False) as data:
        facts = json.loads(str(data["facts"]))
        audio = data["audio"].astype(np.float32) / 32767
        samples = np.split(audio, np.cumsum(data["lengths"])[:-1])
        durations = np.split(data["durations"], np.cumsum(data["phonemes"])[:-1])
        voices = data["voices"]
    return [
        Utterance(
            fact["text"], fact["language"], voice, fact["speed"],
            [(piece, phonemes) for piece, phonemes in fact["pieces"]], duration, fact["cut"], wave,
        )
        for fact, voice, duration, wave in zip(facts, voices, durations, samples, strict=True)
    ]  # fmt: skip


def read_split(work: Path, split: str) -> Iterator[Utterance]:
    """Yield every utterance synthesised so far, in order."""
    for path in sorted((work / "speech").glob(f"{split}-*.npz")):
        yield from read_shard(path)
