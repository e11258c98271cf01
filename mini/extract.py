"""Step 4: codes and mels of all speech, ``python -m mini.extract``.

Shards that are there already are left alone; delete ``<work>/features`` after training another
DVAE.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mini.features import Features, pack_mel, write_features
from mini.lesson import WITH_BREAKS, Floats, insert_breaks, timed_tokens, tokens_at
from mini.phoneme_types import PHONEME_IDS
from mini.sentences import GROUP
from mini.sizes import mini_dims
from mini.speech import Utterance, read_shard
from mini.train_dvae import build_dvae
from mini.trainer import averaged_weights, default_threads
from mini.workspace import pick_device, work_folder
from pipeline.reference.dvae import DVAE


def encode_mel(dvae: DVAE, mel: Tensor) -> Tensor:
    """Map ``mel`` [B, num_mels, 2 T] to codes int64 [B, T, num_vq]."""
    features = dvae.encoder(dvae.downsample_conv(mel / dvae.coef))
    return dvae.quantizer.encode(features.transpose(1, 2))


def load_dvae(work: Path) -> DVAE:
    """Return the trained DVAE.

    Raises:
        FileNotFoundError: there is none yet.
    """
    weights = averaged_weights(work, "dvae")
    if weights is None:
        raise FileNotFoundError(f"{work}: found no DVAE; run `python -m mini.train_dvae` first")
    dvae = build_dvae(mini_dims()).eval().to(pick_device())
    dvae.load_state_dict(weights)
    return dvae


def make_features(
    dvae: DVAE, item: Utterance, mel: Floats, number: int, rng: random.Random | None
) -> Features:
    """Encode one utterance.

    Args:
        dvae: what makes codes of mels.
        item: text, voice and times; its audio is not looked at.
        mel: [frames, num_mels] of it.
        number: its place in its shard, which tells its group.
        rng: of breaks and spelling, which held-out utterances have none of.
    """
    ends = item.phoneme_ends()
    timed = timed_tokens(item.pieces, ends, rng)
    if rng is not None and rng.random() < WITH_BREAKS:
        timed, mel, ends = insert_breaks(timed, mel, ends, rng)
    mel = mel[: len(mel) // 2 * 2]
    with torch.inference_mode():
        wave = torch.from_numpy(np.ascontiguousarray(mel.T)).unsqueeze(0).to(dvae.coef.device)
        codes = encode_mel(dvae, wave)[0].cpu().numpy().astype(np.int16)
    steps = len(codes)
    phonemes = np.array([PHONEME_IDS.get(p, 0) for _, part in item.pieces for p in part])
    return Features(
        item.text, item.language, item.voice, item.speed, number // GROUP,
        np.array([token.id for token in timed], dtype=np.int16),
        codes,
        pack_mel(mel),
        tokens_at(np.array([token.end for token in timed], dtype=np.float32), steps),
        phonemes[tokens_at(ends, steps)].astype(np.uint8),
        len(item.audio) > 0,
    )  # fmt: skip


def extract_shard(dvae: DVAE, source: Path) -> list[Features]:
    """Encode every utterance of one shard of speech."""
    rng = None if source.name.startswith("heldout") else random.Random(source.name)
    features = []
    for number, item in enumerate(read_shard(source)):
        with torch.inference_mode():
            wave = torch.from_numpy(item.audio).unsqueeze(0).to(dvae.coef.device)
            mel = dvae.log_mel(wave)[0].t().cpu().numpy()
        features.append(make_features(dvae, item, mel, number, rng))
    return features


def main() -> None:
    """Extract what is new."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--threads", type=int, default=default_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    work = work_folder(arguments.work)
    dvae = load_dvae(work)
    for source in sorted((work / "speech").glob("*.npz")):
        target = work / "features" / source.name
        if not target.exists():
            write_features(target, extract_shard(dvae, source))
            print(target.name, flush=True)


if __name__ == "__main__":
    main()
