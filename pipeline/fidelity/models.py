"""What validation asks of a model: the reference, a bundle, or a fake in a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Spoken:
    """A free generation.

    Attributes:
        codes: int64 [steps, num_vq], without the end token.
        hidden: float32 [steps, hidden], those that predicted each code.
        finished: the end token was drawn before the limit.
    """

    codes: Array
    hidden: Array
    finished: bool


@dataclass(frozen=True)
class SpokenPrompt:
    """What is said and by whom: ``ids`` int64 [S, num_vq] and a speaker vector [hidden]."""

    text: str
    ids: Array
    speaker: Array


class SpeechModel(Protocol):
    """Teacher forcing and decoding, as an opened bundle offers them to anyone."""

    def forced(
        self, text_ids: Array, attention_mask: Array, codes: Array, speaker: Array | None
    ) -> tuple[Array, Array]:
        """Hidden [B, T, hidden] and logits [B, T, num_vq, tokens] that predict ``codes``.

        ``text_ids`` int64 [B, S, num_vq] is left-padded, ``attention_mask`` [B, S] says where;
        ``codes`` int64 [B, T, num_vq]; ``speaker`` float [B, hidden] or None.
        """
        ...

    def decode_hidden(self, hidden: Array) -> Array:
        """Waveform [B, samples] of hidden states [B, T, hidden] (Decoder and Vocos)."""
        ...

    def decode_codes(self, codes: Array) -> Array:
        """Waveform [B, samples] of codes [B, T, num_vq] (DVAE and Vocos)."""
        ...


class Candidate(SpeechModel, Protocol):
    """A model whose parts can be judged apart from each other, and that speaks freely."""

    def text_logits(self, hidden: Array) -> Array:
        """Logits [n, text tokens] of the refine pass for hidden states [n, hidden]."""
        ...

    def encode(self, waveform: Array) -> Array:
        """Codes int64 [B, steps, num_vq] of waveforms [B, samples] (voice cloning)."""
        ...

    def decoder_mel(self, hidden: Array) -> Array:
        """Log-mel [B, mels, frames] of the Decoder alone."""
        ...

    def dvae_mel(self, codes: Array) -> Array:
        """Log-mel [B, mels, frames] of the DVAE alone."""
        ...

    def vocode(self, mel: Array) -> Array:
        """Waveform [B, samples] of Vocos alone."""
        ...

    def speak(self, prompt: SpokenPrompt, steps: int, min_steps: int, seed: int) -> Spoken:
        """Generate at most ``steps`` codes with seeded sampling and the bundle's defaults."""
        ...


@dataclass(frozen=True)
class AudioFormat:
    """How waveforms are compared, from the checkpoint: Hz, samples, samples, bins."""

    sample_rate: int
    hop_length: int
    n_fft: int
    num_mels: int


def pad_left(rows: list[Array]) -> tuple[Array, Array]:
    """Prompts [S_i, num_vq] as one left-padded batch [B, S, num_vq] and its mask [B, S]."""
    length = max(len(row) for row in rows)
    ids = np.zeros((len(rows), length, rows[0].shape[1]), dtype=np.int64)
    mask = np.zeros((len(rows), length), dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, length - len(row) :] = row
        mask[index, length - len(row) :] = 1
    return ids, mask
