"""Speech in memory, and random batches of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mini.speech import read_split


class SpeechBank:
    """Audio of one split, as 16-bit integers.

    Args:
        work: the training folder.
        split: ``train`` or ``heldout``.
        limit: most sentences to hold.
    """

    def __init__(self, work: Path, split: str, limit: int | None = None) -> None:
        self.waves: list[np.ndarray] = []
        for number, utterance in enumerate(read_split(work, split)):
            if limit is not None and number >= limit:
                break
            self.waves.append(np.round(utterance.audio * 32767).astype(np.int16))
        if not self.waves:
            raise FileNotFoundError(
                f"{work}: found no {split} speech; run `python -m mini.synthesize` first"
            )

    def crops(self, batch: int, samples: int, rng: np.random.Generator) -> Tensor:
        """Draw ``batch`` pieces [batch, samples] at random places and loudness."""
        rows = np.zeros((batch, samples), dtype=np.float32)
        for row in rows:
            wave = self.waves[int(rng.integers(len(self.waves)))]
            start = int(rng.integers(max(len(wave) - samples, 0) + 1))
            piece = wave[start : start + samples]
            row[: len(piece)] = piece * np.float32(rng.uniform(0.6, 1.1) / 32767)
        return torch.from_numpy(rows)

    def whole(self, index: int) -> Tensor:
        """Return one wave [1, samples]."""
        return torch.from_numpy(self.waves[index].astype(np.float32) / 32767).unsqueeze(0)
