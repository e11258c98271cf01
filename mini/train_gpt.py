"""Step 5: the GPT on text and codes, ``python -m mini.train_gpt``."""

from __future__ import annotations

import random

import numpy as np
import torch

from mini import text
from mini.batches import Examples, Sampler, pack, stretches
from mini.features import read_features
from mini.gpt_model import Batch, TrainableGpt
from mini.refine import refine_batch
from mini.sizes import mini_dims
from mini.tokenizer import vocabulary
from mini.train_dvae import COEF
from mini.trainer import Losses, Schedule, Trainer, parse_schedule, work_folder
from pipeline.checkpoint.dims import CheckpointDims

GUIDE_WEIGHT, MEL_WEIGHT, SOUND_WEIGHT = 0.6, 1.0, 0.6
# one step in so many also teaches the text head, on so many sentences
REFINE_EVERY, REFINE_BATCH = 6, 12
# batches in which it hears what it would have said, drawn at this temperature
HEARS_ITSELF, TEMPERATURE = 0.8, 0.6
MOST_PASSES = 2  # of drawing: in the second it has heard the slips of the first


def build_gpt(dims: CheckpointDims) -> TrainableGpt:
    """Return an untrained GPT."""
    return TrainableGpt(dims, vocabulary()["[spk_emb]"], COEF)


def hear_itself(model: TrainableGpt, batch: Batch, rng: np.random.Generator) -> Batch:
    """Return a batch of true codes with stretches of what the GPT would have said."""
    mask, _ = stretches(len(batch.rows), 1.0, rng)
    replaced = torch.from_numpy(mask).to(batch.ids.device)
    for _ in range(int(rng.integers(MOST_PASSES)) + 1):
        batch = model.hear_itself(batch, replaced, TEMPERATURE)
    return batch


def main() -> None:
    """Train the GPT."""
    arguments, schedule = parse_schedule(__doc__ or "", Schedule(20000, 2000, 1.5e-3, 60.0))
    work, dims = work_folder(arguments.work), mini_dims()
    trainer = Trainer("gpt", build_gpt(dims), schedule, work, arguments.seed, mixed_precision=True)
    model, device = trainer.module, trainer.device
    rng = np.random.default_rng([arguments.seed, trainer.step])
    draws = random.Random(f"{arguments.seed}-{trainer.step}")
    train, heldout = read_features(work, "train"), read_features(work, "heldout")
    steps = sum(len(item.codes) for shard in train for item in shard)
    print(f"{sum(map(len, train))} utterances, {steps / 46.875 / 3600:.2f} hours", flush=True)
    sampler = Sampler(train, Examples(dims, rng), schedule.batch, rng)
    written = [text.as_spoken(line) for name in text.LANGUAGES for line in text.written(name)]
    fixed = Examples(dims, np.random.default_rng(0))
    judged = [[fixed.plain(item) for item in shard] for shard in heldout]
    judged = [batch[i : i + 12] for batch in judged for i in range(0, len(batch), 12)]

    def loss(step: int) -> Losses:
        if rng.random() < HEARS_ITSELF:
            batch = hear_itself(model, pack(sampler.next(), dims, None).to(device), rng)
        else:
            batch = pack(sampler.next(), dims, rng).to(device)
        losses = model.losses(batch, GUIDE_WEIGHT, MEL_WEIGHT, SOUND_WEIGHT)
        if step % REFINE_EVERY == 0:
            refined = model.text_loss(refine_batch(draws.sample(written, REFINE_BATCH), draws))
            losses = losses | {"total": losses["total"] + refined, "text": refined * REFINE_EVERY}
        return losses

    def evaluate() -> dict[str, float]:
        sums: dict[str, list[float]] = {}
        # as it was said, and as the GPT will hear itself: with slips
        for prefix, noise in (("", None), ("noisy_", np.random.default_rng(0))):
            for chosen in judged:
                losses = model.losses(
                    pack(chosen, dims, noise).to(device), GUIDE_WEIGHT, MEL_WEIGHT, SOUND_WEIGHT
                )
                language = chosen[0].items[0].language
                for key, value in losses.items():
                    sums.setdefault(prefix + key, []).append(float(value))
                    if key in ("code", "sound_accuracy"):
                        sums.setdefault(f"{prefix}{key}_{language}", []).append(float(value))
        return {key: float(np.mean(values)) for key, values in sums.items()}

    trainer.run(loss, evaluate, every=500)


if __name__ == "__main__":
    main()
