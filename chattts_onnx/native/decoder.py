"""A decoder whose steps the library runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..decoding.forced import Rows
from ..decoding.request import Request
from ..decoding.sampling import MIN_TOKENS_TO_KEEP, PENALTY_WINDOW, Settings
from ..decoding.slots import SlotDecoder, outputs
from ..errors import InputError
from ..format.manifest import ModelInfo
from ..text.prompts import Prompt
from .library import Draws, NativeCache, NativeModel, Positions

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class NativeDecoder(SlotDecoder):
    """Prefill and steps by :class:`NativeModel`.

    A row is bit for bit what it is alone, whatever else runs and on how many threads.
    """

    cache: NativeCache

    def __init__(self, native: NativeModel, model: ModelInfo, slots: int, max_length: int) -> None:
        super().__init__(model, NativeCache(native, slots, max_length))
        self._native = native
        self._drawing: _Drawing | None = None

    def prefill(
        self, first: int, prompts: Sequence[Prompt], speakers: Floats
    ) -> tuple[Floats, Floats]:
        """See :class:`.SlotDecoder`."""
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
        rows = np.repeat(np.arange(len(prompts)), lengths)
        places = np.concatenate([np.arange(n) for n in lengths])
        hidden, logits = outputs(self.model, len(selected))
        self._run(
            (rows + first, places),
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
        """See :class:`.SlotDecoder`."""
        self._next_total(count)
        lengths = self.lengths[:count]
        active = np.flatnonzero(lengths)
        whole = len(active) == count
        results = self._hidden[:count], self._logits[:count]
        if len(active):
            written = results if whole else outputs(self.model, len(active))
            self._run(
                (active, lengths[active]),
                (self.input_ids[active, 0], self.text_mask[active, 0]),
                (np.full(len(active), -1), self._hidden),
                np.arange(len(active)),
                written,
            )
            if not whole:
                results[0][active], results[1][active] = written
        lengths[active] += 1
        return results

    def draw(
        self, rows: Sequence[Request | None], settings: Settings
    ) -> tuple[Floats, Ints] | None:
        """See :class:`.SlotDecoder`: one call of the library, whose arrays the next one fills."""
        count = len(rows)
        if None in rows:
            return None
        if self._drawing is None or self._drawing.settings is not settings:
            self._drawing = _Drawing(self, settings)
        drawing, lengths = self._drawing, self.lengths[:count]
        for slot, request in enumerate(rows):
            assert request is not None
            drawing.history[slot] = request.history
            drawing.uniforms[slot] = request.uniforms()
            drawing.forbid_end[slot] = request.forbid_end
        drawing.places[:count] = lengths
        drawing.positions.count = drawing.positions.selected_count = drawing.draws.rows = count
        self._native.step(self.cache, drawing.positions, drawing.draws, drawing.results)
        lengths += 1
        return self._hidden[:count], drawing.tokens[:count]

    def sample(
        self,
        logits: Floats,
        history: Ints,
        settings: Settings,
        uniforms: npt.NDArray[np.float64],
        end_token: int,
        forbid_end: Bools,
    ) -> Ints:
        """See :class:`.SlotDecoder`; -1 where the logits of a head are not finite."""
        rows, heads, vocabulary = logits.shape
        arrays = [
            np.ascontiguousarray(array, dtype=dtype)
            for array, dtype in (
                (logits, np.float32),
                (history, np.int64),
                (uniforms, np.float64),
                (settings.temperature, np.float64),
                (settings.top_p, np.float64),
                (settings.penalty, np.float64),
                (settings.top_k, np.int64),
                (forbid_end, np.uint8),
            )
        ]
        sizes = (rows, heads, vocabulary, history.shape[1], MIN_TOKENS_TO_KEEP, end_token)
        tokens = np.empty((rows, heads), dtype=np.int64)
        self._native.sample(Draws(*sizes, *(array.ctypes.data for array in arrays)), tokens)
        return tokens

    def _run(
        self,
        where: tuple[Ints, Ints],
        tokens: tuple[Ints, Bools],
        voices: tuple[Ints, Floats],
        selected: Ints,
        results: tuple[Floats, Floats],
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
        self._native.run(self.cache, positions, *results)


class _Drawing:
    """Arrays of a decoder's slots that a step which draws reads and writes.

    They stay where they are, so that their addresses are taken once and not at every step.
    """

    def __init__(self, decoder: NativeDecoder, settings: Settings) -> None:
        self.settings = settings
        slots, heads = decoder.cache.slots, decoder.model.num_vq
        self.history = np.full((slots, PENALTY_WINDOW, heads), -1, dtype=np.int64)
        self.uniforms = np.zeros((slots, heads))
        self.forbid_end = np.zeros(slots, dtype=np.bool_)
        self.places = np.zeros(slots, dtype=np.int32)
        self.tokens = np.zeros((slots, heads), dtype=np.int64)
        rows, nobody = np.arange(slots, dtype=np.int32), np.full(slots, -1, dtype=np.int32)
        hidden, logits = decoder._hidden, decoder._logits
        inputs = (rows, self.places, decoder.input_ids, decoder.text_mask, nobody, hidden, rows)
        sizes = (slots, heads, logits.shape[-1], PENALTY_WINDOW, MIN_TOKENS_TO_KEEP)
        columns = (settings.temperature, settings.top_p, settings.penalty, settings.top_k)
        drawn = (logits, self.history, self.uniforms, *columns, self.forbid_end)
        self._kept = (*inputs, *drawn)
        self.positions = Positions(slots, slots, *_addresses(*inputs))
        self.draws = Draws(*sizes, decoder.model.end_token, *_addresses(*drawn))
        self.results = _addresses(hidden, logits, self.tokens)


def _addresses(*arrays: npt.NDArray[Any]) -> list[int]:
    return [int(array.ctypes.data) for array in arrays]


def run_rows(
    native: NativeModel, model: ModelInfo, rows: Rows, steps: int
) -> tuple[Floats, Floats]:
    """The library's part of :func:`chattts_onnx.forced.forced_pass`."""
    prompts, speaker, first = rows
    lengths = np.array([len(prompt) for prompt in prompts])
    starts = np.cumsum(lengths) - lengths + first
    selected = (starts[:, None] + np.arange(steps)).reshape(-1)
    decoder = NativeDecoder(native, model, len(prompts), int(lengths.max()))
    return decoder.run(0, prompts, speaker, selected)
