"""The PyTorch reference on a device: eager or compiled, FP32 or FP16.

Only its GPT is timed, without sampling and with its codes already on the device: more than fair to
PyTorch, since a bundle's steps hold the sampling and the way of codes and states to the host.
Speech is that of the FP32 reference.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.benchmark.engine import WARM_STEPS, EngineSpec, Timing
from pipeline.benchmark.engine_reference import ReferenceEngine
from pipeline.reference.gpt import KeyValue
from pipeline.reference.load import load_modules

DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


@dataclass
class State:
    """What a step reads and the next one replaces."""

    past: list[KeyValue]
    mask: Tensor
    positions: Tensor


class DeviceReference(ReferenceEngine):
    """See :class:`pipeline.benchmark.engine.Engine`."""

    def __init__(self, spec: EngineSpec) -> None:
        super().__init__(spec)
        self._place, self._dtype = torch.device(spec.device), DTYPES[spec.dtype]
        gpt = load_modules(Path(spec.path)).gpt.to(self._place, self._dtype)
        self._gpt = gpt
        # The cache grows, so sizes are dynamic; recompiling for each would never end.
        compiled = spec.mode == "compiled"
        self._call: Callable[..., Any] = torch.compile(gpt, dynamic=True) if compiled else gpt

    def describe(self) -> dict[str, Any]:
        """See the protocol."""
        engine = f"PyTorch {torch.__version__} {self._spec.mode} {self._spec.dtype}"
        return {**super().describe(), "engine": engine}

    @torch.inference_mode()
    def prefill(self, batch: int, tokens: int) -> Timing:
        """See the protocol."""
        started = self._now()
        self._prefill(batch, tokens)
        return Timing(self._now() - started, steps=1)

    @torch.inference_mode()
    def decode(self, batch: int, length: int, steps: int) -> Timing:
        """See the protocol."""
        dims = self._dims
        state = self._prefill(batch, length)
        shape = (batch, 1, dims.num_vq)
        codes = torch.randint(0, dims.num_audio_tokens - 1, shape, device=self._place)
        for _ in range(WARM_STEPS):
            self._step(state, codes)
        started = self._now()
        for _ in range(steps):
            self._step(state, codes)
        return Timing(self._now() - started, steps=steps)

    def _now(self) -> float:
        """The clock, once the device has done what it was given."""
        if self._place.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def _prefill(self, batch: int, tokens: int) -> State:
        dims, place = self._dims, self._place
        ids = torch.randint(0, dims.num_text_tokens, (batch, tokens, 1), device=place)
        empty = (batch, dims.num_key_value_heads, 0, dims.head_dim)
        past = [(self._zeros(*empty), self._zeros(*empty)) for _ in range(dims.num_hidden_layers)]
        mask = torch.ones(batch, tokens, dtype=torch.int64, device=place)
        positions = torch.arange(tokens, device=place).expand(batch, tokens)
        index = torch.arange(tokens - 1, batch * tokens, tokens, device=place)
        text = torch.ones(batch, tokens, dtype=torch.bool, device=place)
        ids = ids.expand(-1, -1, dims.num_vq).contiguous()
        # Eager also where steps are compiled: one prompt is not worth a compilation.
        _, _, past = self._gpt(
            ids, text, self._zeros(batch, dims.hidden_size), mask, positions, index, past
        )
        return State(past, mask, positions[:, -1:].contiguous())

    def _step(self, state: State, codes: Tensor) -> None:
        """Feed codes [B, 1, num_vq]."""
        batch = codes.shape[0]
        one = torch.ones(batch, 1, dtype=torch.int64, device=self._place)
        state.mask = torch.cat((state.mask, one), dim=1)
        state.positions = state.positions + 1
        index = torch.arange(batch, device=self._place)
        speaker = self._zeros(batch, self._dims.hidden_size)
        _, _, state.past = self._call(
            codes, one.bool().logical_not(), speaker, state.mask, state.positions, index, state.past
        )

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=self._dtype, device=self._place)
