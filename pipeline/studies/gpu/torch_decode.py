"""Steps a second of the PyTorch reference on the same device: eager or compiled, FP32 or FP16.

Only the GPT is timed, without sampling and with its codes already on the device: more than fair to
PyTorch, since a bundle's figures hold the sampling and the way of codes and states to the host.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor

from pipeline.reference.gpt import KeyValue
from pipeline.reference.load import load_modules
from pipeline.report.rows import Row, make_row
from pipeline.studies.gpu.setup import Setup

DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


@dataclass
class TorchState:
    """What a step reads and the next one replaces."""

    past: list[KeyValue]
    mask: Tensor
    positions: Tensor


class TorchEngine:
    """The reference's GPT on a device in one precision."""

    def __init__(self, setup: Setup, precision: str, compiled: bool) -> None:
        self.device, self.dtype = torch.device(setup.device), DTYPES[precision]
        gpt = load_modules(setup.workspace / "build" / "checkpoint").gpt
        self.dims = gpt.dims
        self.gpt = gpt.to(self.device, self.dtype)
        # The cache grows, so sizes are dynamic; recompiling for each would never end.
        self.call: Callable[..., Any] = torch.compile(self.gpt, dynamic=True) if compiled else gpt

    def prefill(self, batch: int, tokens: int) -> TorchState:
        """Run a prompt; returns what the steps go on from."""
        dims, device = self.dims, self.device
        ids = torch.randint(0, dims.num_text_tokens, (batch, tokens, 1), device=device)
        empty = (batch, dims.num_key_value_heads, 0, dims.head_dim)
        past = [(self._zeros(*empty), self._zeros(*empty)) for _ in range(dims.num_hidden_layers)]
        mask = torch.ones(batch, tokens, dtype=torch.int64, device=device)
        positions = torch.arange(tokens, device=device).expand(batch, tokens)
        index = torch.arange(tokens - 1, batch * tokens, tokens, device=device)
        text = torch.ones(batch, tokens, dtype=torch.bool, device=device)
        ids = ids.expand(-1, -1, dims.num_vq).contiguous()
        # Eager also where steps are compiled: one prompt is not worth a compilation.
        _, _, past = self.gpt(
            ids, text, self._zeros(batch, dims.hidden_size), mask, positions, index, past
        )
        return TorchState(past, mask, positions[:, -1:].contiguous())

    def step(self, state: TorchState, codes: Tensor) -> None:
        """Feed codes [B, 1, num_vq]."""
        batch = codes.shape[0]
        one = torch.ones(batch, 1, dtype=torch.int64, device=self.device)
        state.mask = torch.cat((state.mask, one), dim=1)
        state.positions = state.positions + 1
        index = torch.arange(batch, device=self.device)
        speaker = self._zeros(batch, self.dims.hidden_size)
        _, _, state.past = self.call(
            codes, one.bool().logical_not(), speaker, state.mask, state.positions, index, state.past
        )

    def codes(self, batch: int) -> Tensor:
        """Random codes on the device."""
        shape = (batch, 1, self.dims.num_vq)
        return torch.randint(0, self.dims.num_audio_tokens - 1, shape, device=self.device)

    def timed(self, work: Callable[[], object]) -> float:
        """Seconds by CUDA events, or by the clock on the CPU."""
        if self.device.type != "cuda":
            started = time.perf_counter()
            work()
            return time.perf_counter() - started
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=self.dtype, device=self.device)


def torch_decode(setup: Setup, precision: str, compiled: bool) -> Iterator[Row]:
    """Median step at every batch and length, and the most memory that tensors took."""
    engine = TorchEngine(setup, precision, compiled)
    variant = f"torch_{precision}" + ("_compiled" if compiled else "")
    size, common = setup.size, {"checkpoint": setup.checkpoint}
    with torch.inference_mode():
        times = [
            engine.timed(lambda: engine.prefill(1, size.prefill)) for _ in range(size.repeats + 2)
        ]
        length = {"length": size.prefill, **common}
        yield make_row(variant, "prefill_ms", median(times[2:]) * 1e3, "ms", mode="eager", **length)
        for batch in size.batches:
            for length_ in size.lengths:
                state, codes = engine.prefill(batch, length_), engine.codes(batch)
                for _ in range(size.warmup):
                    engine.step(state, codes)
                times = [
                    engine.timed(lambda s=state, c=codes: engine.step(s, c))  # type: ignore[misc]
                    for _ in range(size.steps)
                ]
                step = median(times)
                where = {
                    "mode": "compiled" if compiled else "eager",
                    "batch": batch,
                    "length": length_,
                    **common,
                }
                yield make_row(
                    variant, "step_ms", step * 1e3, "ms",
                    min=min(times) * 1e3, max=max(times) * 1e3, **where,
                )  # fmt: skip
                yield make_row(variant, "steps_per_second", batch / step, "steps/s", **where)
                del state
    if setup.device == "cuda":
        most = torch.cuda.max_memory_allocated()
        yield make_row(variant, "memory_used", most, "B", mode="eager", **common)
