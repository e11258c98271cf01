"""Batches of prompts and codes for the GPT and the Decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mini.features import Features, unpack_mel
from mini.gpt_model import Batch
from mini.teacher_speed import PLAIN_SPEED
from mini.text import PLACES
from mini.tokenizer import vocabulary
from mini.voices import VOICES, speaker_vector
from pipeline.checkpoint.dims import CheckpointDims

NO_SPEAKER = 0.1
PAIRS = 0.15
SAMPLES = 0.6  # of the pairs: the first is a sample, whose tempo the prompt does not tell
SAMPLE_SPEAKER = 0.3  # of the samples: the vector is given beside the sample
PLAIN_TOKEN = 0.4  # of plain tempi: the prompt says [speed_5]
MAX_CODE_NOISE = 0.25
TURNS = {"en": 2, "zh": 1}  # an epoch: English spelling tells less of what is said
MOST_LOST, LONGEST_STRETCH = 0.8, 24  # of the steps; half a second


@dataclass(frozen=True)
class Example:
    """One sequence: a prompt, then one utterance or two by the same voice.

    Attributes:
        items: the utterances, in order.
        head: tokens before the text.
        between: tokens between the two texts.
        speaker: float32 [hidden], zero for none.
        learned: index of the first utterance that is learned.
    """

    items: tuple[Features, ...]
    head: tuple[int, ...]
    between: tuple[int, ...]
    speaker: NDArray[np.float32]
    learned: int

    @property
    def positions(self) -> int:
        """How long the sequence is."""
        tokens = sum(len(item.ids) for item in self.items) + len(self.between)
        return len(self.head) + tokens + 1 + sum(len(item.codes) for item in self.items)

    @property
    def codes(self) -> NDArray[np.int16]:
        """All codes [T, num_vq]."""
        return np.concatenate([item.codes for item in self.items])


class Examples:
    """Turns utterances into examples, drawing what their prompts say."""

    def __init__(self, dims: CheckpointDims, rng: np.random.Generator) -> None:
        self.dims, self.rng = dims, rng
        self.tokens = vocabulary()
        self.default = np.asarray(next(iter(VOICES.values())), dtype=np.float32)

    def _head(self, speaker: bool, speed: str = "") -> tuple[int, ...]:
        names = ["[Stts]", "[spk_emb]" if speaker else "[empty_spk]", *([speed] if speed else [])]
        return tuple(self.tokens[name] for name in names)

    def _vector(self, item: Features) -> NDArray[np.float32]:
        return speaker_vector(item.voice, self.dims.hidden_size, self.rng)

    def _speed(self, level: int) -> str:
        told = level != PLAIN_SPEED or self.rng.random() < PLAIN_TOKEN
        return f"[speed_{level}]" if told else ""

    def plain(self, item: Features) -> Example:
        """One utterance with its speaker and no tempo."""
        return Example((item,), self._head(True), (), self._vector(item), 0)

    def drawn(self, item: Features) -> Example:
        """One utterance, in the first voice sometimes without a speaker."""
        silent = bool((item.voice == self.default).all()) and self.rng.random() < 3 * NO_SPEAKER
        vector = np.zeros_like(self._vector(item)) if silent else self._vector(item)
        return Example((item,), self._head(not silent, self._speed(item.speed)), (), vector, 0)

    def pair(self, first: Features, second: Features) -> Example:
        """Two utterances by one voice: a sample and what is said with it, or two sentences."""
        if self.rng.random() < SAMPLES or first.speed != second.speed:
            speaker = self.rng.random() < SAMPLE_SPEAKER
            vector = self._vector(second) * np.float32(speaker)
            speed = self._speed(second.speed)
            between = (self.tokens[speed],) if speed else ()
            return Example((first, second), self._head(speaker), between, vector, 1)
        head = self._head(True, self._speed(first.speed))
        return Example((first, second), head, (), self._vector(first), 0)


def stretches(steps: int, most: float, rng: np.random.Generator) -> tuple[NDArray[np.bool_], int]:
    """Return [steps] where stretches of one random length lie, up to a share ``most`` of all, and
    that length."""
    length = int(rng.integers(1, LONGEST_STRETCH + 1))
    chosen = rng.random(-(-steps // length)) < rng.uniform(0, most)
    return np.repeat(chosen, length)[:steps], length


def disturb(
    codes: NDArray[np.int16], other: NDArray[np.int16], rng: np.random.Generator
) -> NDArray[np.int16]:
    """Exchange a part of the codes that the GPT reads for other speech.

    Stretches of whole steps, so that what is being said can be told from the text alone, and
    single codes of the other steps.  Without the stretches the GPT names sounds by the codes
    before them and babbles once those are its own.
    """
    steps = len(codes)
    lost, stretch = stretches(steps, MOST_LOST, rng)
    count = -(-steps // stretch)
    begins = rng.integers(len(other), size=count)
    others = (np.repeat(begins, stretch) + np.tile(np.arange(stretch), count))[:steps] % len(other)
    single = rng.random(codes.shape) < rng.uniform(0, MAX_CODE_NOISE)
    lost = lost[:, None]
    picks = np.where(lost, others[:, None], rng.integers(len(other), size=codes.shape))
    return np.where(lost | single, np.take_along_axis(other, picks, axis=0), codes)


def places_of(item: Features) -> NDArray[np.int64]:
    """Return [T] which phoneme of the token spoken at each step is spoken, counted from zero."""
    begins = np.diff(item.token_at, prepend=item.token_at[:1] - 1) != 0
    count = np.cumsum((np.diff(item.phoneme_at.astype(np.int16), prepend=0) != 0) | begins)
    first = np.maximum.accumulate(np.where(begins, count, 0))
    return np.minimum(count - first, PLACES - 1)


def pack(
    examples: Sequence[Example], dims: CheckpointDims, rng: np.random.Generator | None
) -> Batch:
    """Stack examples, padded on the right; ``rng`` adds noise to the codes that are read."""
    books, end = dims.num_vq, dims.num_audio_tokens - 1
    width = max(example.positions for example in examples)
    ids = np.zeros((len(examples), width, books), dtype=np.int64)
    text_mask = np.zeros((len(examples), width), dtype=bool)
    parts: dict[str, list[NDArray[np.generic]]] = {
        name: [] for name in ("rows", "targets", "looked", "mel", "voiced", "phonemes", "places")
    }
    last = vocabulary()["[Ptts]"]
    for b, example in enumerate(examples):
        texts = [item.ids for item in example.items]
        prompt = np.concatenate(
            [example.head, texts[0], *(np.append(example.between, t) for t in texts[1:]), [last]]
        ).astype(np.int64)
        codes, start = example.codes, len(prompt)
        steps = len(codes)
        ids[b, :start], text_mask[b, :start] = prompt[:, None], True
        seen = codes
        if rng is not None:
            other = examples[int(rng.integers(len(examples)))].codes
            sample = sum(len(item.codes) for item in example.items[: example.learned])
            seen = np.concatenate([codes[:sample], disturb(codes[sample:], other, rng)])
        ids[b, start : start + steps] = seen
        # where each text begins, and which token of it is spoken at each step
        begins, looked, phonemes, frames = len(example.head), [], [], []
        places = [*map(places_of, example.items), np.zeros(1, dtype=np.int64)]
        for item in example.items:
            looked.append(begins + item.token_at.astype(np.int64))
            phonemes.append(item.phoneme_at.astype(np.int64))
            frames.append(unpack_mel(item.mel).reshape(len(item.codes), 2 * dims.num_mels))
            begins += len(item.ids) + len(example.between)
        looked.append(np.array([start - 1]))
        phonemes.append(np.array([0]))
        frames.append(np.zeros((1, 2 * dims.num_mels), dtype=np.float32))
        skip = sum(len(item.codes) for item in example.items[: example.learned])
        parts["rows"].append(b * width + start - 1 + np.arange(skip, steps + 1))
        parts["targets"].append(np.concatenate([codes, np.full((1, books), end)])[skip:])
        parts["looked"].append(np.concatenate(looked)[skip:])
        parts["phonemes"].append(np.concatenate(phonemes)[skip:])
        parts["places"].append(np.concatenate(places)[skip:])
        parts["mel"].append(np.concatenate(frames)[skip:])
        parts["voiced"].append(np.arange(skip, steps + 1) < steps)
    joined = {name: np.concatenate(values) for name, values in parts.items()}
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(text_mask),
        torch.from_numpy(np.stack([example.speaker for example in examples]).astype(np.float32)),
        torch.from_numpy(joined["rows"]),
        torch.from_numpy(joined["targets"].astype(np.int64)),
        torch.from_numpy(joined["looked"]),
        torch.from_numpy(joined["phonemes"]),
        torch.from_numpy(joined["places"].astype(np.int64)),
        torch.from_numpy(joined["mel"].astype(np.float32)),
        torch.from_numpy(joined["voiced"]),
    )


class Sampler:
    """Draws batches of like lengths, every utterance in its turn before any comes again.

    Args:
        shards: utterances, those of one group next to each other.
        examples: what makes sequences of them.
        positions: of a batch, padding included, at most.
        rng: of all draws.
    """

    def __init__(
        self,
        shards: list[list[Features]],
        examples: Examples,
        positions: int,
        rng: np.random.Generator,
    ) -> None:
        self.shards, self.examples, self.positions, self.rng = shards, examples, positions, rng
        self._queue: list[list[Example]] = []

    def _epoch(self) -> list[Example]:
        made = []
        for shard in self.shards:
            turns = [i for i, item in enumerate(shard) for _ in range(TURNS[item.language])]
            for index in turns:
                item, before = shard[index], shard[index - 1] if index else None
                same = before is not None and before.group == item.group
                if same and before is not None and self.rng.random() < PAIRS:
                    made.append(self.examples.pair(before, item))
                else:
                    made.append(self.examples.drawn(item))
        return made

    def next(self) -> list[Example]:
        """Return the examples of the next batch."""
        if not self._queue:
            made = self._epoch()
            lengths = [item.positions * self.rng.uniform(0.97, 1.03) for item in made]
            batch: list[Example] = []
            for index in np.argsort(lengths):
                longest = max(made[index].positions, *(e.positions for e in batch), 0)
                if batch and longest * (len(batch) + 1) > self.positions:
                    self._queue.append(batch)
                    batch = []
                batch.append(made[index])
            self._queue.append(batch)
            self.rng.shuffle(self._queue)
        return self._queue.pop()
