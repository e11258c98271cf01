"""Step 6: the Decoder, hidden states of the frozen GPT to mel, ``python -m mini.train_decoder``."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mini.batches import Batcher, Sampler
from mini.extract import Features, read_features
from mini.gpt_model import Batch, TrainableGpt
from mini.sizes import mini_dims
from mini.train_dvae import COEF, mel_distance
from mini.train_gpt import build_gpt
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


def build_decoder(dims: CheckpointDims) -> Decoder:
    """Return an untrained Decoder."""
    decoder = Decoder(dims)
    decoder.coef.fill_(COEF)
    return decoder


def hidden_and_mel(
    gpt: TrainableGpt, batch: Batch, chosen: list[Features]
) -> tuple[list[Tensor], list[Tensor]]:
    """Return each sentence's hidden states [T, hidden] and mel [num_mels, 2 T]."""
    with torch.no_grad():
        rows, _ = gpt.hidden(batch)
    steps = [len(item.codes) for item in chosen]
    parts = rows.split([count + 1 for count in steps])
    hidden = [part[:-1] for part in parts]
    mels = [torch.from_numpy(item.mel.astype(np.float32)).t().to(rows.device) for item in chosen]
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
    arguments, schedule = parse_schedule(__doc__ or "", Schedule(6000, 8, 1.5e-3, 60.0))
    work, dims = work_folder(arguments.work), mini_dims()
    trainer = Trainer(
        "decoder", build_decoder(dims), schedule, work, arguments.seed, mixed_precision=True
    )
    decoder, device = trainer.module, trainer.device
    gpt = load_gpt(dims, averaged_weights(work, "gpt")).to(device)
    rng = np.random.default_rng([arguments.seed, trainer.step])
    batcher = Batcher(dims)
    train, heldout = read_features(work, "train"), read_features(work, "heldout")[:32]
    sampler = Sampler(train, schedule.batch, rng)

    def loss(step: int) -> Losses:
        chosen = sampler.next()
        batch = batcher.noisy(chosen, rng).to(device)
        hidden, mels = hidden_and_mel(gpt, batch, chosen)
        states, mel = crop(hidden, mels, min(len(item) for item in hidden), rng)
        return {"total": mel_distance(decoder(states), mel)}

    def evaluate() -> dict[str, float]:
        distances = []
        for item in heldout:
            hidden, mels = hidden_and_mel(gpt, batcher.plain([item]).to(device), [item])
            made = decoder(hidden[0].unsqueeze(0))
            distances.append(float(mel_distance(made, mels[0].unsqueeze(0))))
        return {"mel": float(np.mean(distances))}

    trainer.run(loss, evaluate, every=200)


if __name__ == "__main__":
    main()
