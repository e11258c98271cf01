"""The baseline: the FP32 PyTorch reference, run eagerly with a growing cache."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.text import TextTokenizer, code_prompt
from pipeline.benchmark.engine import EngineSpec, Timing
from pipeline.benchmark.inputs import fixed_steps, speakers, text_ids
from pipeline.checkpoint import layout
from pipeline.fidelity.models import Array
from pipeline.fidelity.reference_speech import ReferenceLoop
from pipeline.reference.model import load_reference
from pipeline.report.machine import peak_memory_bytes

STREAM_CHUNK = 24
STREAM_SKIPPED = 2
"""ChatTTS 0.2.5 decodes everything again each 24 steps and throws the first two results away."""


class ReferenceEngine:
    """See :class:`pipeline.benchmark.engine.Engine`."""

    def __init__(self, spec: EngineSpec) -> None:
        torch.set_num_threads(spec.threads)
        folder = Path(spec.path)
        root = layout.find_root(folder)
        self._spec = spec
        self._device = spec.device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._model = load_reference(folder, self._device)
        self._tokenizer = TextTokenizer.load(root / layout.TOKENIZER)
        self._dims = self._model.dims
        self._size = sum(
            path.stat().st_size for path in (root / "asset").rglob("*") if path.is_file()
        )

    def describe(self) -> dict[str, Any]:
        """See the protocol."""
        return {
            "engine": f"PyTorch {torch.__version__} eager",
            "provider": self._device,
            "threads": torch.get_num_threads(),
            "size_bytes": self._size,
        }

    def peak_memory(self) -> int:
        """See the protocol."""
        if self._device == "cuda":
            return int(torch.cuda.max_memory_allocated())
        return peak_memory_bytes()

    def prefill(self, batch: int, tokens: int) -> Timing:
        """See the protocol."""
        prompts = self._prompts(batch, tokens)
        mask = np.ones(prompts.shape[:2], dtype=np.int64)
        voices = speakers(batch, self._dims.hidden_size, self._spec.seed)
        started = time.perf_counter()
        self._model.prefill(prompts, mask, voices)
        return Timing(time.perf_counter() - started, steps=1)

    def decode(self, batch: int, length: int, steps: int) -> Timing:
        """See the protocol."""
        loop = self._loop(list(self._prompts(batch, length)), fixed_steps(steps + 2))
        loop.step()
        started = time.perf_counter()
        for _ in range(steps):
            loop.step()
        return Timing(time.perf_counter() - started, steps=steps)

    def sentence(self, text: str, batch: int, steps: int) -> Timing:
        """See the protocol."""
        started = time.perf_counter()
        prompt = self._prompt(text)
        results = self._loop([prompt] * batch, fixed_steps(steps)).run()
        waveforms = self._model.decode_hidden(np.stack([result.hidden for result in results]))
        seconds = time.perf_counter() - started
        return Timing(seconds, waveforms.size / self._dims.sample_rate, steps)

    def first_audio(self, text: str, steps: int, look_ahead: int | None = None) -> Timing:
        """See the protocol; the schedule is the official one (:data:`STREAM_CHUNK`)."""
        started = time.perf_counter()
        loop = self._loop([self._prompt(text)], fixed_steps(steps))
        audible = min(steps, STREAM_CHUNK * (STREAM_SKIPPED + 1))
        request = loop.requests[0]
        while request.steps < audible:
            loop.step()
            if request.steps % STREAM_CHUNK == 0 or request.steps == audible:
                self._model.decode_hidden(np.asarray(request.hidden.view())[None])
        return Timing(time.perf_counter() - started, steps=request.steps)

    def concurrent(
        self, text: str, requests: int, steps: int, look_ahead: int | None = None
    ) -> Timing:
        """See the protocol; requests are served one after the other, without a stream."""
        started = time.perf_counter()
        done = []
        for _ in range(requests):
            self.sentence(text, 1, steps)
            done.append(time.perf_counter() - started)
        audio = requests * (2 * steps - 1) * self._dims.hop_length / self._dims.sample_rate
        return Timing(done[-1], audio, requests * steps, done)

    def _loop(self, prompts: list[Array], params: GenerationParams) -> ReferenceLoop:
        voices = speakers(len(prompts), self._dims.hidden_size, self._spec.seed)
        seeds = [self._spec.seed + row for row in range(len(prompts))]
        return ReferenceLoop(self._model, prompts, voices, params, seeds)

    def _prompt(self, text: str) -> Array:
        return code_prompt(self._tokenizer, text, self._dims.num_vq, speaker=True).ids

    def _prompts(self, batch: int, tokens: int) -> Array:
        return text_ids(self._tokenizer, batch, tokens, self._dims.num_vq)
