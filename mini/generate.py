"""Free generation by the reference modules with the sampler that bundles use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.decoding.sampling import PENALTY_WINDOW, Settings, sample
from chattts_onnx.text.prompts import code_prompt, left_pad
from chattts_onnx.text.tokenizer import TextTokenizer
from pipeline.reference.model import Reference

Array = NDArray[Any]


@dataclass(frozen=True)
class Spoken:
    """One generated utterance: ``codes`` [T, num_vq], ``hidden`` [T, hidden], whether it ended."""

    codes: Array
    hidden: Array
    finished: bool


def generate(
    reference: Reference,
    tokenizer: TextTokenizer,
    texts: Sequence[str],
    speaker: Array,
    params: GenerationParams,
    seed: int,
) -> list[Spoken]:
    """Speak all ``texts`` as one batch with the voice ``speaker`` [hidden]."""
    dims = reference.dims
    end = dims.num_audio_tokens - 1
    prompts = [code_prompt(tokenizer, text, dims.num_vq, speaker=True) for text in texts]
    ids, mask = left_pad([prompt.ids for prompt in prompts])
    rows = len(texts)
    settings = Settings(rows)
    for row in range(rows):
        settings.set(row, params)
    state, hidden, logits = reference.prefill(ids, mask, np.tile(speaker, (rows, 1)))
    rng = np.random.default_rng(seed)
    steps: list[Array] = []
    states: list[Array] = []
    lengths = np.full(rows, -1)
    for step in range(params.max_new_tokens):
        history = np.full((rows, PENALTY_WINDOW, dims.num_vq), -1)
        if recent := steps[-PENALTY_WINDOW:]:
            history[:, -len(recent) :] = np.stack(recent, axis=1)
        uniforms = rng.random((rows, dims.num_vq))
        codes = sample(logits, history, settings, uniforms, end, np.zeros(rows, dtype=bool))
        lengths[(lengths < 0) & (codes == end).any(axis=1)] = step
        if (lengths >= 0).all():
            break
        # rows that have ended run on beside the others; what they say is cut off below
        codes = np.where(codes == end, 0, codes)
        steps.append(codes)
        states.append(hidden)
        hidden, logits = reference.step(state, codes)
    all_codes, all_hidden = np.stack(steps, axis=1), np.stack(states, axis=1)
    counts = np.where(lengths < 0, len(steps), lengths)
    return [
        Spoken(all_codes[row, :count], all_hidden[row, :count], bool(lengths[row] >= 0))
        for row, count in enumerate(counts)
    ]
