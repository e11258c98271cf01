"""Requests of the small bundle, and rows that are drawn from, as several tests want them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from chattts_onnx import Bundle, GenerationParams
from chattts_onnx.decoding.request import Request
from chattts_onnx.decoding.sampling import PENALTY_WINDOW, Settings
from chattts_onnx.decoding.takes import Watch
from chattts_onnx.speech.requests import make_prompt, new_batch

TEXTS = ["hello world", "good morning, one two three", "你好", "one", "two three", "world. hello"]

row_settings = st.builds(
    GenerationParams,
    temperature=st.floats(0.05, 3),
    top_p=st.one_of(st.just(1.0), st.floats(0.01, 0.999)),
    top_k=st.integers(0, 40),
    repetition_penalty=st.one_of(st.just(1.0), st.floats(0.5, 2)),
)


def request(
    bundle: Bundle, text: str, seed: int, watch: Watch | None = None, **changes: Any
) -> Request:
    params = bundle.default_params().but(**{"max_new_tokens": 30, **changes})
    prompt = make_prompt(bundle, text, None, speaker=True)
    return Request(prompt, params, bundle.speaker(seed), seed, watch=watch)


def alone(bundle: Bundle, text: str, seed: int, **changes: Any) -> Request:
    single = request(bundle, text, seed, **changes)
    new_batch(bundle, 1, 128).run([single])
    return single


def columns_of(rows: list[GenerationParams]) -> Settings:
    columns = Settings(len(rows))
    for i, params in enumerate(rows):
        columns.set(i, params)
    return columns


def drawn_logits(seed: int, rows: int, vocab: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits [rows, 2, vocab], with few distinct values where ``levels``, and a history."""
    random, heads = np.random.default_rng(seed), 2
    shape = (rows, heads, vocab)
    logits = random.standard_normal(shape).astype(np.float32) * 4
    if levels:  # ties everywhere
        logits = random.integers(-levels, levels + 1, shape).astype(np.float32)
    return logits, random.integers(-1, vocab, (rows, PENALTY_WINDOW, heads))
