"""The same inputs for every engine: prompts of a given length, voices, a fixed number of steps."""

from __future__ import annotations

import numpy as np

from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.text import TextTokenizer, code_prompt
from chattts_onnx.voices.vectors import random_speaker
from pipeline.fidelity.models import Array

FILLER = "今天天气不错，我们去公园走走吧。"


def fixed_steps(steps: int) -> GenerationParams:
    """Default sampling that ends after exactly ``steps``."""
    return GenerationParams(max_new_tokens=steps, min_new_tokens=steps)


def speakers(count: int, hidden_size: int, seed: int) -> Array:
    """Random speaker vectors, float32 [count, hidden_size]."""
    return np.stack([random_speaker(seed + row, hidden_size) for row in range(count)])


def text_ids(tokenizer: TextTokenizer, batch: int, tokens: int, num_vq: int) -> Array:
    """Prompts of exactly ``tokens`` text positions, int64 [batch, tokens, num_vq]."""
    ids = code_prompt(tokenizer, FILLER, num_vq, speaker=True).ids
    repeated = np.resize(ids, (tokens, num_vq))
    return np.repeat(repeated[None], batch, axis=0)
