"""Batches of prompts and codes for the GPT and the Decoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mini.extract import Features
from mini.gpt_model import Batch
from mini.tokenizer import vocabulary
from mini.voices import speaker_vectors
from pipeline.checkpoint.dims import CheckpointDims

# how many batches' worth of sentences are sorted by length together, to waste little on padding
POOL = 8
NO_SPEAKER = 0.1
RANDOM_SPEAKER = 0.3
SPEED_TOKEN = 0.1
MAX_CODE_NOISE = 0.25


class Batcher:
    """Turns features into training batches, with the noise that makes the GPT robust.

    A random speaker vector means the voice whose own vector it points at more, so that any vector
    speaks; no speaker means the first voice.
    """

    def __init__(self, dims: CheckpointDims) -> None:
        self.dims = dims
        self.tokens = vocabulary()
        self.speakers = speaker_vectors(dims.hidden_size)
        lengths = np.linalg.norm(self.speakers, axis=1, keepdims=True)
        self.directions = self.speakers / lengths

    def prompt(
        self, ids: Sequence[int] | NDArray[np.int16], speaker: bool, speed: str
    ) -> list[int]:
        """Return prompt ids ``[Stts][spk_emb]{[speed_n]}{text}[Ptts]``."""
        head = [self.tokens["[Stts]"], self.tokens["[spk_emb]" if speaker else "[empty_spk]"]]
        head += [self.tokens[speed]] if speed else []
        return [*head, *(int(i) for i in ids), self.tokens["[Ptts]"]]

    def plain(self, chosen: list[Features]) -> Batch:
        """A batch without noise, each sentence with its voice's own vector."""
        prompts = [self.prompt(item.ids, True, "") for item in chosen]
        speakers = np.stack([self.speakers[item.voice] for item in chosen])
        return self._pack(chosen, prompts, speakers, [item.codes for item in chosen])

    def noisy(self, chosen: list[Features], rng: np.random.Generator) -> Batch:
        """A batch for training."""
        prompts, speakers, inputs = [], [], []
        for item in chosen:
            silent = item.voice == 0 and rng.random() < NO_SPEAKER
            speed = f"[speed_{rng.integers(3, 7)}]" if rng.random() < SPEED_TOKEN else ""
            prompts.append(self.prompt(item.ids, not silent, speed))
            speakers.append(np.zeros_like(self.speakers[0]) if silent else self._speaker(item, rng))
            inputs.append(self._disturb(item.codes, chosen, rng))
        return self._pack(chosen, prompts, np.stack(speakers), inputs)

    def _speaker(self, item: Features, rng: np.random.Generator) -> NDArray[np.float32]:
        if rng.random() >= RANDOM_SPEAKER:
            noise = rng.standard_normal(self.dims.hidden_size) * rng.uniform(0, 0.3)
            return (self.speakers[item.voice] + noise).astype(np.float32)
        while True:
            vector = rng.standard_normal(self.dims.hidden_size).astype(np.float32)
            if int(np.argmax(self.directions @ vector)) == item.voice:
                return vector

    @staticmethod
    def _disturb(
        codes: NDArray[np.int16], chosen: list[Features], rng: np.random.Generator
    ) -> NDArray[np.int16]:
        """Exchange a random share of the codes that the GPT sees for those of another step."""
        other = chosen[int(rng.integers(len(chosen)))].codes
        replaced = rng.random(codes.shape) < rng.uniform(0, MAX_CODE_NOISE)
        picks = other[rng.integers(len(other), size=len(codes))]
        return np.where(replaced, picks, codes)

    def _pack(
        self,
        chosen: list[Features],
        prompts: list[list[int]],
        speakers: NDArray[np.float32],
        inputs: list[NDArray[np.int16]],
    ) -> Batch:
        books, mels = self.dims.num_vq, self.dims.num_mels
        width = max(len(p) + len(i.codes) for p, i in zip(prompts, chosen, strict=True))
        ids = np.zeros((len(chosen), width, books), dtype=np.int64)
        text_mask = np.zeros((len(chosen), width), dtype=bool)
        rows, targets, looked, frames, voiced = [], [], [], [], []
        for b, (item, prompt, codes) in enumerate(zip(chosen, prompts, inputs, strict=True)):
            start, steps = len(prompt), len(codes)
            ids[b, :start] = np.asarray(prompt)[:, None]
            text_mask[b, :start] = True
            ids[b, start : start + steps] = codes
            rows.append(b * width + start - 1 + np.arange(steps + 1))
            end = np.full((1, books), self.dims.num_audio_tokens - 1)
            targets.append(np.concatenate([item.codes, end]))
            # the text is the last thing before [Ptts], whatever stands in front of it
            first = start - 1 - len(item.ids)
            looked.append(first + np.append(item.token_at, len(item.ids)))
            frames.append(item.mel.reshape(steps, 2 * mels).astype(np.float32))
            frames.append(np.zeros((1, 2 * mels), dtype=np.float32))
            voiced.append(np.arange(steps + 1) < steps)
        return Batch(
            torch.from_numpy(ids),
            torch.from_numpy(text_mask),
            torch.from_numpy(speakers.astype(np.float32)),
            torch.from_numpy(np.concatenate(rows)),
            torch.from_numpy(np.concatenate(targets).astype(np.int64)),
            torch.from_numpy(np.concatenate(looked).astype(np.int64)),
            torch.from_numpy(np.concatenate(frames)),
            torch.from_numpy(np.concatenate(voiced)),
        )


class Sampler:
    """Draws sentences of like length, every one once before any comes again."""

    def __init__(self, features: list[Features], batch: int, rng: np.random.Generator) -> None:
        self.features, self.batch, self.rng = features, batch, rng
        self._queue: list[list[Features]] = []

    def next(self) -> list[Features]:
        """Return the sentences of the next batch."""
        if not self._queue:
            order = self.rng.permutation(len(self.features))
            pool = self.batch * POOL
            for start in range(0, len(order), pool):
                part = sorted(
                    order[start : start + pool], key=lambda i: len(self.features[i].codes)
                )
                chunks = [part[i : i + self.batch] for i in range(0, len(part), self.batch)]
                self._queue += [[self.features[i] for i in chunk] for chunk in chunks]
            self.rng.shuffle(self._queue)
        return self._queue.pop()
