"""Steps a second of a bundle: GPT, sampling and what moves between host and device."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

import numpy as np

from chattts_onnx.decoding.batch import Batch
from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.decoding.request import Request
from chattts_onnx.decoding.slots import SlotDecoder
from chattts_onnx.format.manifest import Manifest
from chattts_onnx.text import Prompt, TextTokenizer, code_prompt
from chattts_onnx.voices.vectors import random_speaker
from pipeline.report.write import Row, make_row
from pipeline.studies.gpu.bandwidth import step_bytes
from pipeline.studies.gpu.device import open_on, used_memory
from pipeline.studies.gpu.placement import step_pool
from pipeline.studies.gpu.setup import SENTENCE, Setup


class Engine:
    """One bundle's session, for as many batches and lengths as wanted."""

    def __init__(self, setup: Setup, variant: str, mode: str) -> None:
        self.setup = setup
        self.manifest = Manifest.load(setup.bundle(variant), verify=False)
        tokenizer = TextTokenizer.load(setup.bundle(variant) / "tokenizer.json")
        model = self.manifest.model
        self._ids = code_prompt(tokenizer, SENTENCE, model.num_vq, speaker=True).ids
        if mode == "host":
            self._bundle = open_on(setup, variant, mode)
        else:
            self._pool = step_pool(setup, variant, cuda_graph=mode == "graph")
        self._mode = mode

    def decoder(self, batch: int, length: int) -> SlotDecoder:
        """A decoder for ``batch`` sequences of ``length`` tokens."""
        maker = self._bundle if self._mode == "host" else self._pool
        return maker.decoder(batch, length)

    def prompt(self, tokens: int) -> Prompt:
        """A prompt of exactly ``tokens`` text positions."""
        ids = np.resize(self._ids, (tokens, self._ids.shape[1]))
        return Prompt(ids, np.ones(tokens, dtype=np.bool_))

    def speaker(self, row: int) -> np.ndarray:
        """A random voice."""
        return random_speaker(self.setup.seed + row, self.manifest.model.hidden_size)

    def running(self, batch: int, length: int, steps: int) -> Batch:
        """A batch whose rows all hold ``length`` positions and can take ``steps`` more."""
        running = Batch(self.decoder(batch, length + steps + 1))
        params = GenerationParams(max_new_tokens=steps + 1, min_new_tokens=steps + 1)
        running.add(
            Request(self.prompt(length), params, self.speaker(row), self.setup.seed + row)
            for row in range(batch)
        )
        running.step()  # holds every row's prefill
        return running


def decode(setup: Setup, variant: str, mode: str) -> Iterator[Row]:
    """Median step at every batch and length, its share of the memory's bandwidth, memory used."""
    before = used_memory(setup)
    engine = Engine(setup, variant, mode)
    size = setup.size
    yield from _prefill(engine, variant, mode)
    for batch in size.batches:
        for length in size.lengths:
            running = engine.running(batch, length, size.warmup + size.steps + 1)
            for _ in range(size.warmup):
                running.step()
            times = [_timed(running) for _ in range(size.steps)]
            where = {
                "mode": mode,
                "batch": batch,
                "length": length,
                "checkpoint": setup.checkpoint,
            }
            step = median(times)
            yield make_row(
                variant, "step_ms", step * 1e3, "ms",
                min=min(times) * 1e3, max=max(times) * 1e3, **where,
            )  # fmt: skip
            yield make_row(variant, "steps_per_second", batch / step, "steps/s", **where)
            moved = step_bytes(setup.bundle(variant), batch, length)
            yield make_row(variant, "bytes_per_second", moved / step / 1e9, "GB/s", **where)
            del running
    after = used_memory(setup)
    if before is not None and after is not None:
        where = {"mode": mode, "checkpoint": setup.checkpoint}
        yield make_row(variant, "memory_used", after - before, "B", **where)


def _prefill(engine: Engine, variant: str, mode: str) -> Iterator[Row]:
    size = engine.setup.size
    prompt = engine.prompt(size.prefill)
    decoder = engine.decoder(1, size.prefill)
    speaker = engine.speaker(0)[None]
    times = []
    for _ in range(size.repeats + 1):
        started = time.perf_counter()
        decoder.prefill(0, [prompt], speaker)
        times.append(time.perf_counter() - started)
    where = {"mode": mode, "length": size.prefill, "checkpoint": engine.setup.checkpoint}
    yield make_row(variant, "prefill_ms", median(times[1:]) * 1e3, "ms", **where)


def _timed(running: Batch) -> float:
    started = time.perf_counter()
    running.step()
    return time.perf_counter() - started
