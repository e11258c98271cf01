"""A :class:`~chattts_onnx.decoder.Decoder` whose steps the library runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import GenerationError, InputError
from ..manifest import ModelInfo
from ..text.prompts import Prompt
from .library import NativeCache, NativeModel, Positions

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class NativeDecoder:
    """Prefill and steps over slots of one cache; see :class:`~chattts_onnx.decoder.Decoder`.

    A row is bit for bit what it is alone, whatever else runs and on how many threads.
    """

    def __init__(self, native: NativeModel, model: ModelInfo, slots: int, max_length: int) -> None:
        self.model = model
        self.cache = NativeCache(native, slots, max_length)
        self.lengths = np.zeros(slots, dtype=np.int64)
        self.input_ids = np.zeros((slots, 1, model.num_vq), dtype=np.int64)
        self.text_mask = np.zeros((slots, 1), dtype=np.bool_)
        self._native = native
        self._hidden, self._logits = self._outputs(slots)
        self._slots = np.zeros(slots, dtype=np.int32)

    def prefill(
        self, first: int, prompts: Sequence[Prompt], speakers: Floats
    ) -> tuple[Floats, Floats]:
        """See :meth:`chattts_onnx.decoder.Decoder.prefill`."""
        lengths = np.array([len(prompt) for prompt in prompts])
        return self.run(first, prompts, speakers, np.cumsum(lengths) - 1)

    def run(
        self, first: int, prompts: Sequence[Prompt], speakers: Floats, selected: Ints
    ) -> tuple[Floats, Floats]:
        """Fill the slots from ``first`` on and return the outputs of ``selected`` positions.

        ``selected`` [n] counts in the prompts one after the other, ascending.  Returns hidden
        [n, hidden] and logits [n, num_vq, num_audio_tokens].
        """
        lengths = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
        if lengths.max() > self.cache.max_length:
            raise InputError(
                f"a prompt has {lengths.max()} tokens, the cache holds {self.cache.max_length}; "
                "shorten the text or ask for fewer new tokens."
            )
        rows = np.repeat(np.arange(len(prompts), dtype=np.int32), lengths)
        places = np.concatenate([np.arange(n, dtype=np.int32) for n in lengths])
        hidden, logits = self._outputs(len(selected))
        self._run(
            (rows + np.int32(first), places),
            (
                np.concatenate([prompt.ids for prompt in prompts]),
                np.concatenate([prompt.text_mask for prompt in prompts]),
            ),
            (rows, speakers),
            selected,
            (hidden, logits),
        )
        self.lengths[first : first + len(prompts)] = lengths
        return hidden, logits

    def step(self, count: int) -> tuple[Floats, Floats]:
        """See :meth:`chattts_onnx.decoder.Decoder.step`; outputs of idle slots are stale."""
        lengths = self.lengths[:count]
        if lengths.max(initial=0) >= self.cache.max_length:
            raise GenerationError(
                f"a sequence reached the {self.cache.max_length} tokens of its cache; "
                "ask for fewer new tokens."
            )
        active = np.flatnonzero(lengths)
        whole = len(active) == count
        outputs = (
            (self._hidden[:count], self._logits[:count]) if whole else self._outputs(len(active))
        )
        if len(active):
            self._run(
                (active, lengths[active]),
                (self.input_ids[active, 0], self.text_mask[active, 0]),
                (np.full(len(active), -1), self._hidden),
                np.arange(len(active)),
                outputs,
            )
        if not whole:
            self._hidden[active], self._logits[active] = outputs
        lengths[active] += 1
        return self._hidden[:count], self._logits[:count]

    def release(self, slot: int) -> None:
        """Mark a slot as free."""
        self.lengths[slot] = 0

    def move(self, source: int, destination: int) -> None:
        """Continue the sequence of one slot in another; ``source`` becomes free."""
        length = int(self.lengths[source])
        self.cache.move(source, destination, length)
        self.lengths[destination] = length
        self.input_ids[destination] = self.input_ids[source]
        self.text_mask[destination] = self.text_mask[source]
        self.release(source)

    def _outputs(self, count: int) -> tuple[Floats, Floats]:
        model = self.model
        hidden = np.empty((count, model.hidden_size), dtype=np.float32)
        logits = np.empty((count, model.num_vq, model.num_audio_tokens), dtype=np.float32)
        return hidden, logits

    def _run(
        self,
        where: tuple[Ints, Ints],
        tokens: tuple[Ints, Bools],
        voices: tuple[Ints, Floats],
        selected: Ints,
        outputs: tuple[Floats, Floats],
    ) -> None:
        slots, places, rows, picked = (
            np.ascontiguousarray(x, dtype=np.int32) for x in (*where, voices[0], selected)
        )
        ids = np.ascontiguousarray(tokens[0], dtype=np.int64)
        text = np.ascontiguousarray(tokens[1], dtype=np.uint8)
        speakers = np.ascontiguousarray(voices[1], dtype=np.float32)
        arrays = (slots, places, ids, text, rows, speakers, picked)
        pointers = (array.ctypes.data for array in arrays)
        positions = Positions(len(slots), len(picked), *pointers)
        self._native.run(self.cache, positions, *outputs)
