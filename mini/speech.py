"""Shards of teacher speech: sentences, their audio and the end of every letter."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 24_000
SHARD_SIZE = 50
Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Utterance:
    """One sentence: ``audio`` float32 [samples] at 24 kHz, ``ends`` seconds [tokens]."""

    text: str
    audio: Audio
    ends: NDArray[np.float32]


def shard_path(work: Path, split: str, index: int) -> Path:
    """Return the file of a shard; ``split`` is ``train`` or ``heldout``."""
    return work / "speech" / f"{split}-{index:04d}.npz"


def write_shard(path: Path, utterances: list[Utterance]) -> None:
    """Write one shard, audio as 16-bit integers; a reader never sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as stream:
        np.savez(
            stream,
            texts=np.array(json.dumps([item.text for item in utterances])),
            lengths=np.array([len(item.audio) for item in utterances]),
            tokens=np.array([len(item.ends) for item in utterances]),
            audio=np.round(np.concatenate([item.audio for item in utterances]) * 32767).astype(
                "<i2"
            ),
            ends=np.concatenate([item.ends for item in utterances]),
        )
    partial.replace(path)


def read_shard(path: Path) -> list[Utterance]:
    """Read one shard."""
    with np.load(path, allow_pickle=False) as data:
        texts = json.loads(str(data["texts"]))
        audio = data["audio"].astype(np.float32) / 32767
        samples = np.split(audio, np.cumsum(data["lengths"])[:-1])
        ends = np.split(data["ends"], np.cumsum(data["tokens"])[:-1])
    return [Utterance(*item) for item in zip(texts, samples, ends, strict=True)]


def read_split(work: Path, split: str) -> Iterator[Utterance]:
    """Yield every utterance synthesised so far, in order."""
    for path in sorted((work / "speech").glob(f"{split}-*.npz")):
        yield from read_shard(path)
