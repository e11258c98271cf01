"""Step 6: the Decoder, hidden states of the frozen GPT to mel, ``python -m mini.train_decoder``."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mini.batches import Examples, Sampler, pack
from mini.features import read_features
from mini.gpt_model import Batch, TrainableGpt
from mini.sizes import mini_dims
from mini.train_dvae import COEF, mel_distance
from mini.train_gpt import build_gpt, hear_itself
from mini.trainer import (
    Losses,
    Schedule,
    Trainer,
    averaged_weights,
    parse_schedule,
    work_folder,
)
from pipeline.checkpoint.dims import CheckpointDims
from pipeline.reference.dvae import Decoder

LONGEST = 200  # steps of a piece
HEARS_ITSELF = 0.5  # of the batches; over noise it would learn the mean of what can't be known


def build_decoder(dims: CheckpointDims) -> Decoder:
    """Return an untrained Decoder."""
    decoder = Decoder(dims)
    decoder.coef.fill_(COEF)
    return decoder


def hidden_and_mel(gpt: TrainableGpt, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
    """Return each sequence's hidden states [T, hidden] and mel [num_mels, 2 T]."""
    with torch.no_grad():
        rows, _, _ = gpt.hidden(batch)
    # a sequence's rows end where no step follows
    ends = [int(index) + 1 for index in (~batch.voiced).nonzero()[:, 0]]
    counts = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    hidden = [part[:-1] for part in rows.split(counts)]
    bins = gpt.dims.num_mels
    mels = [part[:-1].reshape(-1, bins).t() for part in batch.mel.split(counts)]
    return hidden, mels


def crop(
    hidden: list[Tensor], mels: list[Tensor], steps: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Cut the same random piece of ``steps`` out of each pair and stack them."""
    pieces, frames = [], []
    for states, mel in zip(hidden, mels, strict=True):
        start = int(rng.integers(len(states) - steps + 1))
        pieces.append(states[start : start + steps])
        frames.append(mel[:, 2 * start : 2 * (start + steps)])
    return torch.stack(pieces), torch.stack(frames)


def load_gpt(dims: CheckpointDims, weights: dict[str, Tensor] | None) -> TrainableGpt:
    """Return the trained GPT, frozen."""
    if weights is None:
        raise FileNotFoundError("found no GPT; run `python -m mini.train_gpt` first")
    gpt = build_gpt(dims).eval()
    gpt.load_state_dict(weights)
    return gpt.requires_grad_(False)


def main() -> None:
    """Train the Decoder."""
    arguments, schedule = parse_schedule(__doc__ or "", Schedule(6000, 1200, 1.5e-3, 60.0))
    work, dims = work_folder(arguments.work), mini_dims()
    trainer = Trainer(
        "decoder", build_decoder(dims), schedule, work, arguments.seed, mixed_precision=True
    )
    decoder, device = trainer.module, trainer.device
    gpt = load_gpt(dims, averaged_weights(work, "gpt")).to(device)
    rng = np.random.default_rng([arguments.seed, trainer.step])
    # real speech alone: the student's mels are smoother
    train = [
        [item for item in shard if item.real]
        for shard in read_features(work, "train")
        if any(item.real for item in shard)
    ]
    fixed = Examples(dims, np.random.default_rng(0))
    heldout = [fixed.plain(item) for shard in read_features(work, "heldout") for item in shard][::3]
    sampler = Sampler(train, Examples(dims, rng), schedule.batch, rng)

    def loss(step: int) -> Losses:
        batch = pack(sampler.next(), dims, None).to(device)
        if rng.random() < HEARS_ITSELF:
            batch = hear_itself(gpt, batch, rng)
        hidden, mels = hidden_and_mel(gpt, batch)
        states, mel = crop(hidden, mels, min(min(len(item) for item in hidden), LONGEST), rng)
        return {"total": mel_distance(decoder(states).float(), mel)}

    def evaluate() -> dict[str, float]:
        distances = []
        for example in heldout:
            hidden, mels = hidden_and_mel(gpt, pack([example], dims, None).to(device))
            made = decoder(hidden[0].unsqueeze(0))
            distances.append(float(mel_distance(made, mels[0].unsqueeze(0))))
        return {"mel": float(np.mean(distances))}

    trainer.run(loss, evaluate, every=200)


if __name__ == "__main__":
    main()
