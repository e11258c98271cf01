"""Decoding on a device: a step's inputs, logits and cache stay there, and it samples there.

On CUDA a step can also be replayed as a CUDA graph, which needs fixed shapes and addresses: the
memory of a decoder is kept by :class:`DecoderPool` and used again by the next one.  Everything here
runs on the CPU provider too, which is how it is tested.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ..format.manifest import ModelInfo
from .decoder import Decoder, Extension
from .device_sampler import PREFIX, settings_columns
from .device_step import ADVANCE, FED_BACK, NEXT, RESULT, extension_fields, step_fields
from .finite import finite_rows
from .kv_cache import KVCache
from .request import Request
from .sampling import Ints, Settings

Floats = npt.NDArray[np.float32]

SHORTEST = 256
"""Smallest cache length and smallest length that a CUDA graph is captured for, in tokens."""
KEPT_STATES = 4

_graph_ids = itertools.count(1)


def power_of_two(length: int, limit: int) -> int:
    """The next power of two from :data:`SHORTEST` on, at most ``limit``."""
    return min(limit, max(SHORTEST, 1 << (length - 1).bit_length()))


class StepState:
    """Device memory of up to ``slots`` sequences and the bindings of their steps."""

    def __init__(
        self,
        session: ort.InferenceSession,
        model: ModelInfo,
        size: tuple[int, int],
        place: tuple[str, int],
        cuda_graph: bool,
    ) -> None:
        self.session, self.model, self.place = session, model, place
        self.slots, self.max_length = size
        self.cache = KVCache(model, *size, *place)
        self._cuda_graph = cuda_graph
        self._total = np.zeros((), dtype=np.int32)
        self._values: dict[str, ort.OrtValue] = {}
        for name, field in step_fields(model).items():
            self.write(name, field.empty(self.slots))
        self.write("logits_index", np.arange(self.slots, dtype=np.int64))
        width = model.hidden_size + model.num_vq
        self.write(RESULT, np.zeros((self.slots, width), dtype=np.float32))
        self._bindings: dict[int, ort.IOBinding] = {}
        # ONNX Runtime keeps captured graphs by thread: in another one the first run captures anew.
        self._captured = threading.local()

    def write(self, name: str, array: npt.NDArray[Any]) -> None:
        """Copy an array of all slots to the device, always to the same address."""
        array = np.ascontiguousarray(array)
        if name in self._values:
            self._values[name].update_inplace(array)
        else:
            # A copy, since on the CPU the value would otherwise share the caller's memory.
            value = ort.OrtValue.ortvalue_from_numpy(array.copy(), *self.place)
            self._values[name] = value

    def read(self) -> Floats:
        """The last step's result [slots, hidden + num_vq], copied from the device."""
        result: Floats = self._values[RESULT].numpy()
        return result

    def is_captured(self, count: int, total: int) -> bool:
        """Whether a step of the first ``count`` slots needs no run to capture it first."""
        return not self._cuda_graph or (count, self._capacity(total)) in self._graphs()

    def run(self, count: int, total: int) -> None:
        """One step of the first ``count`` slots, the longest of which gets ``total`` tokens.

        The run that captures a CUDA graph is repeated inside ONNX Runtime.
        """
        if count not in self._bindings:
            self._bindings[count] = self._bind(count)
        if not self._cuda_graph:
            self._total[...] = total
            self.session.run_with_iobinding(self._bindings[count])
            return
        # A replay keeps what the host passed at the capture, so the bound has to hold for all.
        capacity = self._capacity(total)
        self._total[...] = capacity
        graphs = self._graphs()
        if (count, capacity) not in graphs:
            graphs[count, capacity] = run_options(next(_graph_ids))
        self.session.run_with_iobinding(self._bindings[count], graphs[count, capacity])

    def _graphs(self) -> dict[tuple[int, int], ort.RunOptions]:
        """Graphs that this thread has captured, by rows and capacity."""
        graphs: dict[tuple[int, int], ort.RunOptions] = self._captured.__dict__.setdefault(
            "graphs", {}
        )
        return graphs

    def _capacity(self, total: int) -> int:
        return power_of_two(total, self.max_length)

    def _bind(self, count: int) -> ort.IOBinding:
        binding = self.session.io_binding()
        for name, field in step_fields(self.model).items():
            target = (*self.place, np.dtype(field.dtype).type, [count, *field.shape])
            pointer = self._values[name].data_ptr()
            binding.bind_input(name, *target, pointer)
            if name in FED_BACK:
                binding.bind_output(NEXT + name, *target, pointer)
        width = self.model.hidden_size + self.model.num_vq
        result = self._values[RESULT].data_ptr()
        binding.bind_output(RESULT, *self.place, np.float32, [count, width], result)
        # GroupQueryAttention reads the total on the host on every provider.
        total = self._total.ctypes.data
        binding.bind_input("total_sequence_length", "cpu", 0, np.int32, [], total)
        self.cache.bind(binding, 0, count)
        return binding


class CudaDecoder(Decoder):
    """A :class:`Decoder` that can also draw the codes of a step on the device."""

    def __init__(self, state: StepState) -> None:
        super().__init__(
            state.session, state.model, state.slots, state.max_length, cache=state.cache
        )
        self._state = state
        self._resident: list[Request | None] = []
        self._forbid = np.zeros(0, dtype=np.bool_)
        self._only_logits = run_options(None, only_fetched=True)
        self._fields = extension_fields(state.model)

    def prefill(
        self, first: int, prompts: Sequence[Any], speakers: Floats
    ) -> tuple[Floats, Floats]:
        """See :class:`Decoder`; the first step of a sequence is sampled on the host."""
        self._resident = []
        return super().prefill(first, prompts, speakers)

    def step(self, count: int) -> tuple[Floats, Floats]:
        """See :class:`Decoder`: the logits come to the host, for passes that sample there."""
        self._resident = []
        return super().step(count)

    def rewind(self, slot: int, length: int) -> None:
        """See :class:`.SlotDecoder`; the device learns of it at the next step."""
        self._resident = []
        super().rewind(slot, length)

    def draw(self, rows: Sequence[Request | None], settings: Settings) -> tuple[Floats, Ints]:
        """One step of the slots in ``rows``, sampled on the device; None marks an idle slot.

        ``settings`` has a row for each slot of the decoder.  Returns hidden [count, hidden] and
        codes [count, num_vq]; a row of -1 had a state or logits that are not finite.
        """
        count = len(rows)
        total = self._next_total(count)
        if list(rows) != self._resident:
            self._load(rows, settings)
        self._write_draws(rows)
        if not self._state.is_captured(count, total):
            # The capture runs several times: nothing may move on, and what it wrote is replaced.
            self._state.write(ADVANCE, np.zeros(self._state.slots, dtype=np.int32))
            self._state.run(count, total)
            self._load(rows, settings)
        self._state.run(count, total)
        result = self._state.read()[:count]
        lengths = self.lengths[:count]
        lengths += lengths > 0
        hidden = result[:, : self.model.hidden_size]
        codes = result[:, self.model.hidden_size :].astype(np.int64)
        codes[~finite_rows(hidden)] = -1
        return hidden, codes

    def _load(self, rows: Sequence[Request | None], settings: Settings) -> None:
        """Bring all state of ``rows`` to the device; later steps keep it up to date there."""
        slots = self._state.slots
        history = self._fields[f"{PREFIX}/history"].empty(slots)
        for slot, request in enumerate(rows):
            if request is not None:
                # Oldest first: the device drops the first row and appends the new codes.
                oldest = request.steps % len(request.history)
                history[slot] = np.roll(request.history, -oldest, axis=0)
        columns = settings_columns(settings, self.model)
        self._state.write(f"{PREFIX}/history", history)
        for name, column in columns.items():
            self._state.write(f"{PREFIX}/{name}", column)
        self._state.write("input_ids", self.input_ids)
        self._state.write("text_mask", self.text_mask)
        self._state.write("seqlens_k", self.lengths.astype(np.int32))
        self._state.write(ADVANCE, (self.lengths > 0).astype(np.int32))
        self._resident = list(rows)

    def _write_draws(self, rows: Sequence[Request | None]) -> None:
        uniforms = self._fields[f"{PREFIX}/uniforms"].empty(self._state.slots)
        forbid = self._fields[f"{PREFIX}/forbid_end"].empty(self._state.slots)
        for slot, request in enumerate(rows):
            if request is not None:
                uniforms[slot] = request.uniforms()
                forbid[slot] = request.forbid_end
        self._state.write(f"{PREFIX}/uniforms", uniforms)
        if not np.array_equal(forbid, self._forbid):
            self._state.write(f"{PREFIX}/forbid_end", forbid)
            self._forbid = forbid

    def _extension(self, rows: int) -> Extension:
        feeds = {name: field.empty(rows) for name, field in self._fields.items()}
        return Extension(feeds, self._only_logits)


class DecoderPool:
    """Makes decoders over one session and gives their device memory to the next ones."""

    def __init__(
        self,
        session: ort.InferenceSession,
        model: ModelInfo,
        place: tuple[str, int],
        cuda_graph: bool = False,
    ) -> None:
        self._session, self._model, self._place = session, model, place
        self._cuda_graph = cuda_graph
        self._free: list[StepState] = []
        self._lock = threading.Lock()

    def decoder(self, slots: int, max_length: int) -> CudaDecoder:
        """A decoder of exactly ``slots`` sequences of at least ``max_length`` tokens."""
        state = self._take(slots, max_length)
        decoder = CudaDecoder(state)
        weakref.finalize(decoder, self._give_back, state)
        return decoder

    def _take(self, slots: int, max_length: int) -> StepState:
        with self._lock:
            for state in self._free:
                if state.slots == slots and state.max_length >= max_length:
                    self._free.remove(state)
                    return state
            # Memory that fits nobody now goes first: the new state may need it.
            del self._free[: max(0, len(self._free) + 1 - KEPT_STATES)]
        # A few sizes only, so that the next request finds memory that fits.
        length = -(-max_length // SHORTEST) * SHORTEST
        size = (slots, length)
        return StepState(self._session, self._model, size, self._place, self._cuda_graph)

    def _give_back(self, state: StepState) -> None:
        # Appending to a list is atomic; the lock could be held by the thread that collects.
        self._free.append(state)


def run_options(graph: int | None, only_fetched: bool = False) -> ort.RunOptions:
    """Options of a run that is captured as CUDA graph ``graph``; None for one that is not."""
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", "-1" if graph is None else str(graph))
    options.only_execute_path_to_fetches = only_fetched
    return options
