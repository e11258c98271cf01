"""Arenas under a mixed load: the BFC arena's settings, and what reaches the CUDA memory pool."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np

from chattts_onnx import Bundle
from pipeline.benchmark.device import open_on, used_memory
from pipeline.report.rows import Row, make_row
from pipeline.studies.gpu.device import captured_log
from pipeline.studies.gpu.setup import Setup

ARENAS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "bfc_power_of_two": ({"arena_extend_strategy": "kNextPowerOfTwo"}, {}),
    "bfc_as_requested": ({"arena_extend_strategy": "kSameAsRequested"}, {}),
    "bfc_limit_4gib": ({"gpu_mem_limit": str(4 << 30)}, {}),
    "mempool_by_provider_name": ({}, {"ep.cudaexecutionprovider.arena.use_cuda_mempool": "1"}),
    "mempool_by_short_name": ({}, {"ep.cuda.arena.use_cuda_mempool": "1"}),
}
"""Provider options and session entries.

The Python ``OrtArenaCfg`` refuses the pool's key; the two session entries are what ONNX Runtime's
sources name for providers that are loaded as plugins.
"""
_POOL_SIGNS = ("mempool", "MemPool", "mem_pool")


def arena(setup: Setup, variant: str, name: str) -> Iterator[Row]:
    """Most memory, memory left behind, and seconds of one mixed load under one arena."""
    options, entries = ARENAS[name]
    where = {"arena": name, "checkpoint": setup.checkpoint}
    with _Peak(setup) as peak, captured_log() as log:
        bundle = open_on(
            setup.bundle(variant), setup.device, session_config=entries, options=options
        )
        random = np.random.default_rng(setup.seed)
        started = time.perf_counter()
        for _ in range(setup.size.mixed_calls):
            _call(bundle, random)
        seconds = time.perf_counter() - started
        left = used_memory(setup.device)
    yield make_row(variant, "mixed_load_seconds", seconds, "s", **where)
    if left is not None and peak.before is not None:
        yield make_row(variant, "peak_memory", peak.most - peak.before, "B", **where)
        yield make_row(variant, "memory_left", left - peak.before, "B", **where)
    signs = sum(any(sign in line for sign in _POOL_SIGNS) for line in log)
    yield make_row(variant, "log_lines_on_pool", signs, "lines", **where)


def _call(bundle: Bundle, random: np.random.Generator) -> None:
    """A prompt and a decode of random sizes, as requests of all lengths would bring them."""
    model = bundle.model
    rows, tokens = int(random.integers(1, 9)), int(random.integers(8, 400))
    ids = np.zeros((rows, tokens, model.num_vq), dtype=np.int64)
    codes = random.integers(0, model.end_token, (rows, 2, model.num_vq))
    bundle.forced(ids, np.ones((rows, tokens), dtype=np.int64), codes)
    steps = int(random.integers(8, 600))
    bundle.decode_hidden(random.standard_normal((1, steps, model.hidden_size)).astype(np.float32))


class _Peak:
    """Polls the GPU's memory in a thread; the driver keeps no high-water mark for others."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self.before = used_memory(setup.device)
        self.most = self.before or 0

    def __enter__(self) -> _Peak:
        if self.before is not None:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self.before is not None:
            self._thread.join()

    def _poll(self) -> None:
        while not self._stop.wait(0.05):
            self.most = max(self.most, used_memory(self._setup.device) or 0)
