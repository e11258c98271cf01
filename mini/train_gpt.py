"""Step 5: the GPT on text and codes, ``python -m mini.train_gpt``."""

from __future__ import annotations

import numpy as np

from mini.batches import Batcher, Sampler
from mini.extract import read_features
from mini.gpt_model import TrainableGpt
from mini.sizes import mini_dims
from mini.tokenizer import vocabulary
from mini.train_dvae import COEF
from mini.trainer import Losses, Schedule, Trainer, parse_schedule, work_folder
from pipeline.checkpoint.dims import CheckpointDims

GUIDE_WEIGHT, MEL_WEIGHT = 0.3, 1.0


def build_gpt(dims: CheckpointDims) -> TrainableGpt:
    """Return an untrained GPT."""
    return TrainableGpt(dims, vocabulary()["[spk_emb]"], COEF)


def main() -> None:
    """Train the GPT."""
    arguments, schedule = parse_schedule(__doc__ or "", Schedule(12000, 8, 2e-3, 60.0))
    work, dims = work_folder(arguments.work), mini_dims()
    trainer = Trainer("gpt", build_gpt(dims), schedule, work, arguments.seed, mixed_precision=True)
    model, device = trainer.module, trainer.device
    rng = np.random.default_rng([arguments.seed, trainer.step])
    batcher = Batcher(dims)
    train, heldout = read_features(work, "train"), read_features(work, "heldout")[:64]
    print(f"{len(train)} sentences, {sum(len(f.codes) for f in train) / 46.875 / 3600:.2f} hours")
    sampler = Sampler(train, schedule.batch, rng)

    def loss(step: int) -> Losses:
        batch = batcher.noisy(sampler.next(), rng).to(device)
        return model.losses(batch, GUIDE_WEIGHT, MEL_WEIGHT)

    def evaluate() -> dict[str, float]:
        sums: dict[str, list[float]] = {}
        for start in range(0, len(heldout), 16):
            batch = batcher.plain(heldout[start : start + 16]).to(device)
            for key, value in model.losses(batch, GUIDE_WEIGHT, MEL_WEIGHT).items():
                sums.setdefault(key, []).append(float(value))
        return {key: float(np.mean(values)) for key, values in sums.items()}

    trainer.run(loss, evaluate, every=250)


if __name__ == "__main__":
    main()
