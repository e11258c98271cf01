"""Decoding speed of bundles beside each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from chattts_onnx.bundle import Bundle, open_bundle
from chattts_onnx.text.prompts import Prompt
from pipeline.quantization.calibration.recorder import PROVIDERS

PROMPT_TOKENS, STEPS = 72, 24
LEAST_ROUNDS, MOST_ROUNDS, SECONDS = 5, 60, 2.0
"""Rounds, and seconds for each bundle after which no further one begins."""


def steps_per_second(folders: Mapping[str, Path], threads: int, batch: int = 1) -> dict[str, float]:
    """Decoding steps a second of each bundle.

    The bundles take turns in an order that moves on each round, so that whatever else the machine
    does hits all of them; the best round of each counts, of more rounds where a round is short.
    """
    bundles = {
        name: open_bundle(path, PROVIDERS, threads, verify=False) for name, path in folders.items()
    }
    times: dict[str, list[float]] = {name: [] for name in bundles}
    names = list(bundles)
    began = time.perf_counter()
    for turn in range(MOST_ROUNDS):
        if turn >= LEAST_ROUNDS and time.perf_counter() - began > SECONDS * len(names):
            break
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            times[name].append(_step_seconds(bundles[name], batch))
    return {name: batch / min(found) for name, found in times.items()}


def _step_seconds(bundle: Bundle, batch: int) -> float:
    model = bundle.model
    decoder = bundle.decoder(batch, PROMPT_TOKENS + STEPS + 1)
    ids = np.ones((PROMPT_TOKENS, model.num_vq), np.int64)
    prompt = Prompt(ids, np.ones(PROMPT_TOKENS, np.bool_))
    speakers = np.zeros((batch, model.hidden_size), np.float32)
    decoder.prefill(0, [prompt] * batch, speakers)
    decoder.step(batch)
    taken = []
    for _ in range(STEPS):
        started = time.perf_counter()
        decoder.step(batch)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)
