"""What every decoder is to a batch: slots of sequences that prefill, step, move and end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..errors import GenerationError
from ..format.manifest import ModelInfo
from ..text.prompts import Prompt
from .request import Request
from .sampling import Bools, Scores, Settings, sample

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class SlotCache(Protocol):
    """Keys and values of :attr:`slots` sequences of up to :attr:`max_length` tokens."""

    @property
    def slots(self) -> int: ...

    @property
    def max_length(self) -> int: ...

    @property
    def movable(self) -> bool: ...

    def move(self, source: int, destination: int, length: int) -> None:
        """Copy the first ``length`` tokens of one slot over another."""


class SlotDecoder(ABC):
    """``slots`` sequences that share one cache.

    A step runs the first ``count`` slots: each takes the ids of ``input_ids`` [slots, 1, num_vq]
    and ``text_mask`` [slots, 1] as its next position.  ``lengths`` [slots] counts the positions of
    each; 0 means that the slot is free.  Not safe for use from several threads.
    """

    def __init__(self, model: ModelInfo, cache: SlotCache) -> None:
        slots = cache.slots
        self.model = model
        self.cache = cache
        self.lengths = np.zeros(slots, dtype=np.int64)
        self.input_ids = np.zeros((slots, 1, model.num_vq), dtype=np.int64)
        self.text_mask = np.zeros((slots, 1), dtype=np.bool_)
        self._hidden, self._logits = outputs(model, slots)

    @abstractmethod
    def prefill(
        self, first: int, prompts: Sequence[Prompt], speakers: Floats
    ) -> tuple[Floats, Floats]:
        """Start sequences in the slots ``first`` to ``first + len(prompts)``.

        ``speakers`` [B, hidden], a zero row for none.  Returns hidden [B, hidden] and logits
        [B, num_vq, num_audio_tokens] of each row's last position.
        """

    @abstractmethod
    def step(self, count: int) -> tuple[Floats, Floats]:
        """Feed one position to each of the first ``count`` slots.

        A slot of length 0 is idle and stays so; what is returned for it means nothing.  Returns
        views of hidden [count, hidden] and logits [count, num_vq, num_audio_tokens] that the next
        step overwrites.
        """

    def draw(
        self, rows: Sequence[Request | None], settings: Settings
    ) -> tuple[Floats, Ints] | None:
        """One step of ``rows`` whose codes this decoder draws itself; None where it does not.

        Then :meth:`step` gives the logits to draw from.  Else hidden [count, hidden] and codes
        [count, num_vq], with a -1 in a row whose hidden state or logits are not finite.
        """
        return None

    def sample(
        self,
        logits: Scores,
        history: Ints,
        settings: Settings,
        uniforms: npt.NDArray[np.float64],
        end_token: int,
        forbid_end: Bools,
    ) -> Ints:
        """See :func:`.sampling.sample`, whose rules hold wherever a decoder draws."""
        return sample(logits, history, settings, uniforms, end_token, forbid_end)

    def release(self, slot: int) -> None:
        """Mark a slot as free."""
        self.lengths[slot] = 0

    def rewind(self, slot: int, length: int) -> None:
        """Go back to the first ``length`` positions of a slot, whose keys and values still lie
        there."""
        self.lengths[slot] = length

    def move(self, source: int, destination: int) -> None:
        """Continue the sequence of one slot in another; ``source`` becomes free."""
        length = int(self.lengths[source])
        self.cache.move(source, destination, length)
        self.lengths[destination] = length
        self.input_ids[destination] = self.input_ids[source]
        self.text_mask[destination] = self.text_mask[source]
        self.release(source)

    def _next_total(self, count: int) -> int:
        """Tokens of the longest of the first ``count`` slots after the next step."""
        total = int(self.lengths[:count].max()) + 1
        if total > self.cache.max_length:
            raise GenerationError(
                f"a sequence reached the {self.cache.max_length} tokens of its cache; "
                "ask for fewer new tokens."
            )
        return total


def outputs(model: ModelInfo, selected: int) -> tuple[Floats, Floats]:
    """Arrays for hidden [selected, hidden] and logits [selected, num_vq, num_audio_tokens]."""
    hidden = np.empty((selected, model.hidden_size), dtype=np.float32)
    logits = np.empty((selected, model.num_vq, model.num_audio_tokens), dtype=np.float32)
    return hidden, logits
