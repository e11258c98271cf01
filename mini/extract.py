"""Step 4: codes and mels of all speech in both voices, ``python -m mini.extract``.

Shards that are there already are left alone; delete ``<work>/features`` after training another
DVAE.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mini.sizes import mini_dims
from mini.speech import read_shard
from mini.tokenizer import build_tokenizer
from mini.train_dvae import build_dvae
from mini.trainer import averaged_weights, default_threads
from mini.voices import VOICES, in_voice
from mini.workspace import pick_device, work_folder
from pipeline.reference.dvae import DVAE


@dataclass(frozen=True)
class Features:
    """What the GPT and the Decoder learn of one sentence in one voice.

    Attributes:
        text: the sentence.
        voice: index into :data:`mini.voices.VOICES`.
        ids: token ids [N] of the text alone.
        codes: int16 [T, num_vq].
        mel: float16 [2 T, num_mels].
        token_at: int16 [T], the token spoken in the middle of each step.
    """

    text: str
    voice: int
    ids: NDArray[np.int16]
    codes: NDArray[np.int16]
    mel: NDArray[np.float16]
    token_at: NDArray[np.int16]


def tokens_at(ends: NDArray[np.float32], steps: int, step_seconds: float) -> NDArray[np.int16]:
    """Return which token is spoken in the middle of each step, int16 [steps]."""
    middle = (np.arange(steps) + 0.5) * step_seconds
    found = np.searchsorted(ends, middle, side="right")
    return np.minimum(found, len(ends) - 1).astype(np.int16)


def extract_shard(dvae: DVAE, source: Path, step_seconds: float) -> list[Features]:
    """Encode every sentence of one shard in every voice."""
    tokenizer, features = build_tokenizer(), []
    for utterance in read_shard(source):
        ids = tokenizer.encode(utterance.text, add_special_tokens=False).ids
        if len(ids) != len(utterance.ends):
            raise ValueError(
                f"found {len(ids)} tokens for {utterance.text!r}, expected its letters"
            )
        for index, voice in enumerate(VOICES):
            spoken = in_voice(utterance, voice)
            wave = torch.from_numpy(spoken.audio).unsqueeze(0).to(dvae.coef.device)
            with torch.inference_mode():
                codes = dvae.encode(wave)[0].cpu().numpy().astype(np.int16)
                mel = dvae.log_mel(wave)[0].t()[: 2 * len(codes)]
            features.append(
                Features(
                    utterance.text,
                    index,
                    np.asarray(ids, dtype=np.int16),
                    codes,
                    mel.cpu().numpy().astype(np.float16),
                    tokens_at(spoken.ends, len(codes), step_seconds),
                )
            )
    return features


def write_features(path: Path, features: list[Features]) -> None:
    """Write one shard; a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as stream:
        np.savez(
            stream,
            texts=np.array([item.text for item in features]),
            voices=np.array([item.voice for item in features]),
            tokens=np.array([len(item.ids) for item in features]),
            steps=np.array([len(item.codes) for item in features]),
            ids=np.concatenate([item.ids for item in features]),
            codes=np.concatenate([item.codes for item in features]),
            mel=np.concatenate([item.mel for item in features]),
            token_at=np.concatenate([item.token_at for item in features]),
        )
    partial.replace(path)


def read_features(work: Path, split: str) -> list[Features]:
    """Read the features of one split extracted so far."""
    features = []
    for path in sorted((work / "features").glob(f"{split}-*.npz")):
        with np.load(path, allow_pickle=False) as data:
            tokens, steps = np.cumsum(data["tokens"])[:-1], np.cumsum(data["steps"])[:-1]
            parts = zip(
                (str(text) for text in data["texts"]),
                (int(voice) for voice in data["voices"]),
                np.split(data["ids"], tokens),
                np.split(data["codes"], steps),
                np.split(data["mel"], 2 * steps),
                np.split(data["token_at"], steps),
                strict=True,
            )
            features += [Features(*item) for item in parts]
    if not features:
        raise FileNotFoundError(
            f"{work}: found no {split} features; run `python -m mini.extract` first"
        )
    return features


def main() -> None:
    """Extract what is new."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--threads", type=int, default=default_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    work, dims = work_folder(arguments.work), mini_dims()
    weights = averaged_weights(work, "dvae")
    if weights is None:
        raise FileNotFoundError(f"{work}: found no DVAE; run `python -m mini.train_dvae` first")
    dvae = build_dvae(dims).eval().to(pick_device())
    dvae.load_state_dict(weights)
    step_seconds = 2 * dims.hop_length / dims.sample_rate
    for source in sorted((work / "speech").glob("*.npz")):
        target = work / "features" / source.name
        if not target.exists():
            write_features(target, extract_shard(dvae, source, step_seconds))
            print(target.name, flush=True)


if __name__ == "__main__":
    main()
