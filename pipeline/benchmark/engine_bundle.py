"""A bundle in ONNX Runtime, through the runtime that users run."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from chattts_onnx import StreamOptions, open_bundle
from chattts_onnx.decoding.batch import Batch
from chattts_onnx.decoding.request import Generation, Request
from chattts_onnx.decoding.slots import SlotDecoder
from chattts_onnx.speech.engine import Engine, Ticket
from chattts_onnx.text import Prompt
from pipeline.benchmark.device import SAMPLED_THERE, open_on, step_pool, used_memory
from pipeline.benchmark.engine import WARM_STEPS, EngineSpec, Timing
from pipeline.benchmark.inputs import fixed_steps, speakers, text_ids
from pipeline.report.machine import peak_memory_bytes


class BundleEngine:
    """See :class:`pipeline.benchmark.engine.Engine`."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self._before = used_memory(spec.device)
        path = Path(spec.path)
        if spec.device:
            self._bundle = open_on(path, spec.device, spec.mode, threads=spec.threads)
        else:
            self._bundle = open_bundle(path, threads=spec.threads, huge_pages=True)
        self._decoder: Callable[[int, int], SlotDecoder] = self._bundle.decoder
        if spec.device == "cpu" and spec.mode in SAMPLED_THERE:
            # A rehearsal runs the code of a GPU.
            self._decoder = step_pool(path, spec.device, spec.mode).decoder
        self._model = self._bundle.model
        self._voice = speakers(1, self._model.hidden_size, spec.seed)[0]

    def describe(self) -> dict[str, Any]:
        """See the protocol."""
        files = (path for path in Path(self._spec.path).rglob("*") if path.is_file())
        return {
            "engine": f"ONNX Runtime {ort.__version__}",
            "provider": self._bundle.providers[0],
            "step": str(self._bundle.step),
            "threads": self._bundle.config.threads,
            "size_bytes": sum(path.stat().st_size for path in files),
        }

    def peak_memory(self) -> int:
        """See the protocol."""
        used = used_memory(self._spec.device)
        if used is None or self._before is None:
            return peak_memory_bytes()
        return used - self._before

    def prefill(self, batch: int, tokens: int) -> Timing:
        """See the protocol."""
        prompts = self._prompts(batch, tokens)
        voices = speakers(batch, self._model.hidden_size, self._spec.seed)
        decoder = self._decoder(batch, tokens)
        started = time.perf_counter()
        decoder.prefill(0, prompts, voices)
        return Timing(time.perf_counter() - started, steps=1)

    def decode(self, batch: int, length: int, steps: int, swept: int = 0) -> Timing:
        """See the protocol."""
        warm = WARM_STEPS if self._spec.device else 0
        running = self.running(batch, length, warm + steps)
        for _ in range(warm):
            running.step()
        other, seconds = np.ones(swept // 8), 0.0
        for _ in range(steps):
            other.sum()
            started = time.perf_counter()
            running.step()
            seconds += time.perf_counter() - started
        return Timing(seconds, steps=steps)

    def running(self, batch: int, length: int, steps: int) -> Batch:
        """A batch whose rows all hold ``length`` positions and can take ``steps`` more."""
        running = Batch(self._decoder(batch, length + steps + 2))
        voices = speakers(batch, self._model.hidden_size, self._spec.seed)
        params = fixed_steps(steps + 2)
        running.add(
            Request(prompt, params, voice, self._spec.seed + row)
            for row, (prompt, voice) in enumerate(
                zip(self._prompts(batch, length), voices, strict=True)
            )
        )
        # The first step holds the prefill of every row.
        running.step()
        return running

    def sentence(self, text: str, batch: int, steps: int) -> Timing:
        """See the protocol."""
        options: dict[str, Any] = {"params": fixed_steps(steps), "seed": self._spec.seed}
        started = time.perf_counter()
        if batch == 1:
            samples = self._bundle.say(text, self._voice, **options).size
        else:
            results = self._bundle.generate([text] * batch, self._voice, **options)
            assert not isinstance(results, Generation)  # one for a single text only
            hidden = np.stack([result.hidden for result in results])
            samples = self._bundle.decode_hidden(hidden).size
        seconds = time.perf_counter() - started
        return Timing(seconds, samples / self._model.sample_rate, steps)

    def first_audio(self, text: str, steps: int, look_ahead: int | None = None) -> Timing:
        """See the protocol."""
        taken = 0

        def count(request: Request) -> None:
            nonlocal taken
            taken = request.steps

        options: dict[str, Any] = {"params": fixed_steps(steps), "seed": self._spec.seed}
        started = time.perf_counter()
        stream = StreamOptions(look_ahead=look_ahead)
        chunks = self._bundle.stream(text, self._voice, stream=stream, on_step=count, **options)
        next(iter(chunks))
        return Timing(time.perf_counter() - started, steps=taken)

    def concurrent(
        self, text: str, requests: int, steps: int, look_ahead: int | None = None
    ) -> Timing:
        """See the protocol; all requests run in one batch."""
        stream = StreamOptions(look_ahead=look_ahead)
        options: dict[str, Any] = {"params": fixed_steps(steps), "seed": self._spec.seed}
        samples = [0] * requests
        first = [0.0] * requests

        def listen(index: int, ticket: Ticket) -> None:
            for chunk in ticket.chunks(stream):
                first[index] = first[index] or time.perf_counter() - started
                samples[index] += chunk.size

        with Engine(self._bundle, slots=requests, queue_size=requests) as engine:
            started = time.perf_counter()
            with ThreadPoolExecutor(requests) as listeners:
                for index in range(requests):
                    listeners.submit(listen, index, engine.submit(text, self._voice, **options))
            seconds = time.perf_counter() - started
        return Timing(seconds, sum(samples) / self._model.sample_rate, requests * steps, first)

    def _prompts(self, batch: int, tokens: int) -> list[Prompt]:
        ids = text_ids(self._bundle.tokenizer, batch, tokens, self._model.num_vq)
        return [Prompt(row, np.ones(tokens, dtype=np.bool_)) for row in ids]
