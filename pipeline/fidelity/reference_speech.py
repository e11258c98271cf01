"""Free generation with the PyTorch reference, sampled exactly as the runtime samples.

The reference is a model without a loop of its own; this one draws the same random numbers in the
same order as :class:`chattts_onnx.decoding.batch.Batch`, so that an exact variant gives the same
codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.decoding.request import Generation, Request
from chattts_onnx.decoding.sampling import Settings, sample
from chattts_onnx.text import Prompt
from pipeline.fidelity.models import Array, pad_left


class Stepper(Protocol):
    """The part of :class:`pipeline.reference.model.Reference` that generation needs."""

    def prefill(
        self, text_ids: Array, attention_mask: Array, speaker: Array | None = None
    ) -> tuple[Any, Array, Array]:
        """State, hidden [B, hidden] and logits [B, num_vq, tokens] after left-padded prompts."""
        ...

    def step(self, state: Any, codes: Array) -> tuple[Array, Array]:
        """Hidden and logits after codes [B, num_vq]."""
        ...


class ReferenceLoop:
    """Rows that start together and step until all have ended, as the reference runs a batch.

    Args:
        model: the reference.
        prompts: text ids int64 [S_i, num_vq] of each row.
        speakers: float32 [B, hidden].
        params: sampling settings and limits, ``min_new_tokens`` at least 1: a row that would end
            at its first step is not drawn anew here.
        seeds: one for each row.

    Raises:
        ValueError: ``min_new_tokens`` is 0.
    """

    def __init__(
        self,
        model: Stepper,
        prompts: Sequence[Array],
        speakers: Array,
        params: GenerationParams,
        seeds: Sequence[int],
    ) -> None:
        if params.min_new_tokens < 1:
            raise ValueError("min_new_tokens is 0, expected 1 or more")
        text_ids, attention_mask = pad_left(list(prompts))
        self._model = model
        self._state, self._hidden, self._logits = model.prefill(text_ids, attention_mask, speakers)
        self._settings = Settings(len(prompts))
        self._end_token = self._logits.shape[2] - 1
        self.requests: list[Request] = []
        for row, (ids, seed) in enumerate(zip(prompts, seeds, strict=True)):
            prompt = Prompt(ids, np.ones(len(ids), dtype=np.bool_))
            request = Request(prompt, params, seed=seed)
            request.begin(self._hidden.shape[1], self._logits.shape[1])
            self._settings.set(row, params)
            self.requests.append(request)
        self._ended = [False] * len(prompts)

    @property
    def running(self) -> bool:
        """Whether a row has neither ended nor reached its limit."""
        return not all(self._ended)

    def step(self) -> None:
        """Draw one step for every row and, unless that ended all, run the model on it."""
        tokens = sample(
            self._logits,
            np.stack([request.history for request in self.requests]),
            self._settings,
            np.stack([request.uniforms() for request in self.requests]),
            self._end_token,
            np.array([request.forbid_end for request in self.requests]),
        )
        for row, request in enumerate(self.requests):
            if not self._ended[row]:
                self._take(row, request, tokens[row])
        if self.running:
            # A row that has ended keeps its place in the batch; what it is fed is not used.
            fed = np.where(tokens == self._end_token, 0, tokens)
            self._hidden, self._logits = self._model.step(self._state, fed)

    def run(self) -> list[Generation]:
        """Step until every row has ended."""
        while self.running:
            self.step()
        return [request.result() for request in self.requests]

    def _take(self, row: int, request: Request, tokens: Array) -> None:
        if (tokens == self._end_token).any():
            request.end(finished=True)
            self._ended[row] = True
            return
        request.keep(tokens, self._hidden[row])
        if request.steps >= request.params.max_new_tokens:
            request.end(finished=False)
            self._ended[row] = True
