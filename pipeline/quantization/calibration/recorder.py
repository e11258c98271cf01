"""Making recordings: the FP32 bundle speaks a few sentences, and everything on the way is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from chattts_onnx.bundle import Bundle, open_bundle
from chattts_onnx.decoding.request import Request
from chattts_onnx.speech.requests import make_prompt, make_request, new_batch
from chattts_onnx.text.prompts import refine_prompt
from pipeline.core.sentences import Sentence, load_sentences
from pipeline.graphs.probe import THREADS
from pipeline.quantization.calibration.recording import Recording, gpt_feeds
from pipeline.quantization.config import RecordingConfig

T = TypeVar("T")

ROWS = 8
"""Sentences spoken at once: the FP32 weights are read once a step for all of them."""

PROVIDERS = ("CPUExecutionProvider",)
"""Always the CPU, so that the same sentences give the same statistics on every machine's GPU."""


def spread(items: Sequence[T], count: int) -> list[T]:
    """``count`` items at equal distances, so that each part of an ordered file is heard."""
    return [items[i * len(items) // count] for i in range(count)]


def record(
    folder: Path, workspace: Path, config: RecordingConfig, seed: int
) -> Iterator[Recording]:
    """Speak ``config.samples`` sentences with the bundle in ``folder``.

    Args:
        folder: an FP32 bundle.
        workspace: what ``config.sentences`` is relative to.
        config: sentences and lengths.
        seed: sentence i is sampled with ``seed + i``.

    Raises:
        ConfigError: the sentences are missing, malformed or fewer than ``config.samples``.
        BundleError: the bundle is missing or damaged.
    """
    sentences = load_sentences(workspace / config.sentences, minimum=config.samples)
    chosen = spread(sentences, config.samples)
    bundle = open_bundle(folder, providers=PROVIDERS, threads=THREADS)
    for start in range(0, len(chosen), ROWS):
        requests = [
            _request(bundle, sentence, config, seed + start + index)
            for index, sentence in enumerate(chosen[start : start + ROWS])
        ]
        length = max(len(request.prompt) + request.params.max_new_tokens for request in requests)
        batch = new_batch(bundle, len(requests), length)
        batch.run(requests)
        for sentence, request in zip(chosen[start : start + ROWS], requests, strict=True):
            yield _recording(bundle, sentence, request)


def _request(bundle: Bundle, sentence: Sentence, config: RecordingConfig, seed: int) -> Request:
    speaker = bundle.speaker(sentence.voice_seed)
    prompt = make_prompt(bundle, sentence.text, None, speaker is not None)
    params = bundle.default_params("code").but(
        min_new_tokens=config.min_new_tokens, max_new_tokens=config.max_new_tokens
    )
    return make_request(bundle, prompt, params, speaker=speaker, seed=seed)


def _recording(bundle: Bundle, sentence: Sentence, request: Request) -> Recording:
    generation = request.result()
    mel = bundle.hidden_to_mel(generation.hidden[None])
    silent = np.zeros(bundle.model.hidden_size, np.float32)
    return Recording(
        text_ids=request.prompt.ids[:, 0],
        speaker=silent if request.speaker is None else request.speaker,
        codes=generation.codes,
        hidden=generation.hidden,
        text_hidden=_refine_states(bundle, sentence.text),
        mel=mel[0],
        waveform=bundle.vocode(mel)[0],
    )


def _refine_states(bundle: Bundle, text: str) -> np.ndarray:
    """States [S, hidden] over the prompt of the refine pass: what the text head reads."""
    prompt = refine_prompt(bundle.tokenizer, text, bundle.model.num_vq)
    nothing = np.zeros((0, bundle.model.num_vq), np.int64)
    speaker = np.zeros(bundle.model.hidden_size, np.float32)
    everywhere = np.arange(len(prompt))
    feeds = gpt_feeds(bundle.model, prompt.ids[:, 0], nothing, speaker, everywhere)
    hidden: np.ndarray = bundle.session("gpt").run(["hidden"], feeds)[0]
    return hidden
