"""What the GPT and the Decoder learn of each utterance, and shards of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mini.speech import write_arrays

Floats = NDArray[np.float32]
# mels are kept as bytes: log amplitudes from LOWEST in steps of MEL_STEP
LOWEST, MEL_STEP = -9.6, 0.0655

# shards without audio are numbered from here on
FIRST_TAUGHT = 50_000


def pack_mel(mel: Floats) -> NDArray[np.uint8]:
    """Return log-mels as bytes, exact to a thirtieth."""
    return np.round((mel - LOWEST) / MEL_STEP).clip(0, 255).astype(np.uint8)


def unpack_mel(packed: NDArray[np.uint8]) -> Floats:
    """Return the log-mels of :func:`pack_mel`."""
    return packed.astype(np.float32) * np.float32(MEL_STEP) + np.float32(LOWEST)


@dataclass(frozen=True)
class Features:
    """One utterance.

    Attributes:
        text: the sentence.
        language: ``zh`` or ``en``.
        voice: coordinates [bases].
        speed: the level of ``[speed_n]``.
        group: utterances next to each other with the same group have the same voice.
        ids: int16 [N], tokens of the text.
        codes: int16 [T, num_vq].
        mel: uint8 [2 T, num_mels], see :func:`pack_mel`.
        token_at: int16 [T], the token spoken in the middle of each step.
        phoneme_at: uint8 [T], the teacher's number of the phoneme spoken then.
        real: whether the mel is that of audio.
    """

    text: str
    language: str
    voice: Floats
    speed: int
    group: int
    ids: NDArray[np.int16]
    codes: NDArray[np.int16]
    mel: NDArray[np.uint8]
    token_at: NDArray[np.int16]
    phoneme_at: NDArray[np.uint8]
    real: bool


def write_features(path: Path, features: Sequence[Features]) -> None:
    """Write one shard; a reader never sees half of it."""
    facts = [
        {"text": f.text, "language": f.language, "speed": f.speed, "group": f.group, "real": f.real}
        for f in features
    ]
    write_arrays(
        path,
        {
            "facts": np.array(json.dumps(facts)),
            "voices": np.stack([item.voice for item in features]),
            "tokens": np.array([len(item.ids) for item in features]),
            "steps": np.array([len(item.codes) for item in features]),
            **{
                name: np.concatenate([getattr(item, name) for item in features])
                for name in ("ids", "codes", "mel", "token_at", "phoneme_at")
            },
        },
    )


def read_shard(path: Path) -> list[Features]:
    """Read one shard."""
    with np.load(path, allow_pickle=False) as data:
        facts = json.loads(str(data["facts"]))
        tokens, steps = np.cumsum(data["tokens"])[:-1], np.cumsum(data["steps"])[:-1]
        parts = zip(
            facts,
            data["voices"],
            np.split(data["ids"], tokens),
            np.split(data["codes"], steps),
            np.split(data["mel"], 2 * steps),
            np.split(data["token_at"], steps),
            np.split(data["phoneme_at"], steps),
            strict=True,
        )
        return [
            Features(
                fact["text"], fact["language"], voice, fact["speed"], fact["group"],
                ids, codes, mel, token_at, phoneme_at, fact["real"],
            )
            for fact, voice, ids, codes, mel, token_at, phoneme_at in parts
        ]  # fmt: skip


def read_features(work: Path, split: str) -> list[list[Features]]:
    """Read the shards of one split made so far.

    Raises:
        FileNotFoundError: there is none.
    """
    shards = [read_shard(path) for path in sorted((work / "features").glob(f"{split}-*.npz"))]
    if not shards:
        raise FileNotFoundError(
            f"{work}: found no {split} features; run `python -m mini.extract` first"
        )
    return shards
