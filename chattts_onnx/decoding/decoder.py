"""Prefill and decode steps of the GPT graph over slots of one shared KV cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ..errors import InputError
from ..format.manifest import ModelInfo
from ..text.prompts import Prompt
from .kv_cache import KVCache
from .slots import SlotDecoder, outputs

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Extension:
    """What a GPT graph with further inputs is given besides its own: their values, run options."""

    feeds: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    options: ort.RunOptions | None = None


PLAIN = Extension()


def prefill(
    session: ort.InferenceSession,
    model: ModelInfo,
    cache: KVCache,
    first: int,
    rows: tuple[Ints, Bools, Ints],
    speaker: Floats,
    logits_index: Ints,
    extension: Extension = PLAIN,
) -> tuple[Floats, Floats]:
    """One call over right-padded rows, filling the cache slots from ``first`` on.

    ``rows`` is (ids [B, S, num_vq], text_mask [B, S], lengths [B]); ``speaker`` [B, hidden], zeros
    where there is none; ``logits_index`` [selected] into the flattened [B * S] positions.
    Returns hidden [selected, hidden] and logits [selected, num_vq, num_audio_tokens].
    """
    ids, text_mask, lengths = rows
    if ids.shape[1] > cache.max_length:
        raise InputError(
            f"a prompt has {ids.shape[1]} tokens, the cache holds {cache.max_length}; "
            "shorten the text or ask for fewer new tokens."
        )
    hidden, logits = outputs(model, len(logits_index))
    feeds: dict[str, npt.NDArray[Any]] = {
        "input_ids": np.ascontiguousarray(ids, dtype=np.int64),
        "text_mask": np.ascontiguousarray(text_mask, dtype=np.bool_),
        "speaker": np.ascontiguousarray(speaker, dtype=np.float32),
        "logits_index": np.ascontiguousarray(logits_index, dtype=np.int64),
        "seqlens_k": (lengths - 1).astype(np.int32),
        "total_sequence_length": np.asarray(ids.shape[1], dtype=np.int32),
        **extension.feeds,
    }
    binding = session.io_binding()
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    _bind_output(binding, "hidden", hidden)
    _bind_output(binding, "logits", logits)
    cache.bind(binding, first, len(ids))
    session.run_with_iobinding(binding, extension.options)
    return hidden, logits


def right_pad(prompts: Sequence[Prompt]) -> tuple[Ints, Bools, Ints]:
    """Stack prompts into (ids [B, S, num_vq], text_mask [B, S], lengths [B]), padded on the right.

    GroupQueryAttention counts positions from the first column, so padding has to come last.
    """
    lengths = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
    shape = (len(prompts), int(lengths.max()))
    ids = np.zeros((*shape, prompts[0].ids.shape[1]), dtype=np.int64)
    text_mask = np.zeros(shape, dtype=np.bool_)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = prompt.ids
        text_mask[row, : len(prompt)] = prompt.text_mask
    return ids, text_mask, lengths


class Decoder(SlotDecoder):
    """The GPT graph of ONNX Runtime over ``slots`` sequences that share one cache.

    A step's inputs live in arrays that are written in place and its outputs in arrays that the
    graph writes, all bound once for each ``count``, so a step allocates nothing.
    """

    cache: KVCache

    def __init__(
        self,
        session: ort.InferenceSession,
        model: ModelInfo,
        slots: int,
        max_length: int,
        device: str = "cpu",
        device_id: int = 0,
        cache: KVCache | None = None,
    ) -> None:
        super().__init__(model, cache or KVCache(model, slots, max_length, device, device_id))
        self._session = session
        self._speaker = np.zeros((slots, model.hidden_size), dtype=np.float32)
        self._logits_index = np.arange(slots, dtype=np.int64)
        self._seqlens = np.zeros(slots, dtype=np.int32)
        self._total = np.zeros((), dtype=np.int32)
        self._bindings: dict[int, _StepBinding] = {}

    def prefill(
        self, first: int, prompts: Sequence[Prompt], speakers: Floats
    ) -> tuple[Floats, Floats]:
        """See :class:`.SlotDecoder`."""
        rows = right_pad(prompts)
        lengths = rows[2]
        index = np.arange(len(prompts)) * rows[0].shape[1] + lengths - 1
        hidden, logits = prefill(
            self._session,
            self.model,
            self.cache,
            first,
            rows,
            speakers,
            index,
            self._extension(len(prompts)),
        )
        self.lengths[first : first + len(prompts)] = lengths
        return hidden, logits

    def step(self, count: int) -> tuple[Floats, Floats]:
        """See :class:`.SlotDecoder`."""
        lengths = self.lengths[:count]
        self._total[...] = self._next_total(count)
        self._seqlens[:count] = lengths
        if count not in self._bindings:
            self._bindings[count] = self._bind(count)
        self._bindings[count].run(self._session)
        lengths += lengths > 0
        return self._hidden[:count], self._logits[:count]

    def _extension(self, rows: int) -> Extension:
        """What a graph with further inputs is given in a run of ``rows`` wanted positions."""
        return PLAIN

    def _bind(self, count: int) -> _StepBinding:
        extension = self._extension(count)
        step = _StepBinding(self._session, self.cache, extension.options)
        for name, array in extension.feeds.items():
            step.feed(name, array)
        step.feed("input_ids", self.input_ids[:count])
        step.feed("text_mask", self.text_mask[:count])
        step.feed("speaker", self._speaker[:count])
        step.feed("logits_index", self._logits_index[:count])
        step.feed("seqlens_k", self._seqlens[:count])
        # GroupQueryAttention reads the total on the host on every provider.
        step.feed("total_sequence_length", self._total, host=True)
        _bind_output(step.binding, "hidden", self._hidden[:count])
        _bind_output(step.binding, "logits", self._logits[:count])
        self.cache.bind(step.binding, 0, count)
        return step


class _StepBinding:
    """An IO binding whose inputs keep their addresses from step to step."""

    def __init__(
        self,
        session: ort.InferenceSession,
        cache: KVCache,
        options: ort.RunOptions | None,
    ) -> None:
        self.binding = session.io_binding()
        self._cache = cache
        self._options = options
        self._held: list[npt.NDArray[Any]] = []
        self._copies: list[tuple[ort.OrtValue, npt.NDArray[Any]]] = []

    def feed(self, name: str, array: npt.NDArray[Any], host: bool = False) -> None:
        if self._cache.device == "cpu" or host:
            place = (array.dtype.type, list(array.shape), array.ctypes.data)
            self.binding.bind_input(name, "cpu", 0, *place)
            self._held.append(array)
            return
        # Binding host memory for a device input would copy it once, now; later values would
        # never arrive.
        value = ort.OrtValue.ortvalue_from_numpy(array, self._cache.device, self._cache.device_id)
        self.binding.bind_ortvalue_input(name, value)
        self._copies.append((value, array))

    def run(self, session: ort.InferenceSession) -> None:
        for value, array in self._copies:
            value.update_inplace(array)
        session.run_with_iobinding(self.binding, self._options)


def _bind_output(binding: ort.IOBinding, name: str, array: npt.NDArray[Any]) -> None:
    binding.bind_output(name, "cpu", 0, array.dtype.type, list(array.shape), array.ctypes.data)
