"""Hidden states to audio in windows, so that speech can start while it is being generated.

Decoder, Vocos and ISTFT are convolutions without global statistics: a sample depends on mel frames
at most ``receptive_field`` away.  A window with that much context on each side yields exactly the
samples of the whole decode, and its cost does not grow with the length of the utterance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..decoding.request import Request
from ..errors import InputError, NonFiniteError
from ..format.manifest import ModelInfo

Floats = npt.NDArray[np.float32]
DecodeHidden = Callable[[Floats], Floats]


@dataclass(frozen=True)
class StreamOptions:
    """When chunks are sent, all in generation steps (46.875 steps = 1 s).

    ``first_chunk`` steps in the first chunk, each later one ``growth`` times longer up to
    ``max_chunk``.  ``look_ahead`` None waits for the exact receptive field on the right; a smaller
    number sends audio earlier with edges that are approximate, joined by cross-fades of
    ``crossfade`` steps, which come out of the look-ahead.
    """

    first_chunk: int = 12
    growth: float = 2.0
    max_chunk: int = 192
    look_ahead: int | None = None
    crossfade: int = 2

    def __post_init__(self) -> None:
        if self.first_chunk < 1 or self.max_chunk < self.first_chunk or self.growth < 1:
            raise InputError(
                f"chunk sizes first {self.first_chunk}, growth {self.growth}, max {self.max_chunk};"
                " expected 1 <= first_chunk <= max_chunk and growth of at least 1."
            )
        if self.look_ahead is not None and self.look_ahead < 1:
            raise InputError(f"look_ahead is {self.look_ahead}; expected 1 or more, or None.")
        if self.crossfade < 0:
            raise InputError(f"crossfade is {self.crossfade}; expected 0 or more.")


class AudioStream:
    """Turns the growing hidden states of one utterance into chunks of audio.

    ``decode`` maps hidden [1, T, hidden] to a waveform [1, (2T - 1) * hop].  The chunks joined have
    exactly the whole decode's length, and with the exact look-ahead its values as well.  ``name``
    is asked whose audio it is when ``decode`` raises :class:`.NonFiniteError`.
    """

    def __init__(
        self,
        decode: DecodeHidden,
        model: ModelInfo,
        options: StreamOptions | None = None,
        name: Callable[[], str] | None = None,
    ) -> None:
        self._decode = decode
        self._name = name
        self._model = model
        self._options = options or StreamOptions()
        self._context = model.receptive_field.steps
        wanted = self._options.look_ahead
        self._look_ahead = self._context if wanted is None else min(wanted, self._context)
        exact = self._look_ahead == self._context
        self._fade = min(self._options.crossfade, self._look_ahead)
        self._tail: Floats | None = None
        # Windows with the exact look-ahead agree where they meet, unless another take came between.
        self._always, self._turned, self._takes = not exact, False, 0
        self._sent = 0
        self._chunk = float(self._options.first_chunk)

    @property
    def needed(self) -> int:
        """Number of steps that must exist before the next chunk can be sent."""
        return self._sent + int(self._chunk) + self._look_ahead

    def ready(self, steps: int) -> bool:
        """Whether ``steps`` generated steps suffice for the next chunk."""
        return steps >= self.needed

    def push(self, hidden: Floats) -> Iterator[Floats]:
        """Chunks that ``hidden`` [T, hidden], all states so far, makes possible."""
        while self.ready(len(hidden)):
            yield self._grow(hidden)

    def next(self, request: Request) -> Floats | None:
        """The next chunk of a request that runs, None while it has too few steps for it.

        What is sent is committed: another take goes on from there.
        """
        found = request.commit(self._sent + int(self._chunk), self.needed)
        if found is None:
            return None
        self._turn(found[0])
        return self._grow(found[1])

    def _grow(self, hidden: Floats) -> Floats:
        chunk = self._window(hidden, self._sent + int(self._chunk), last=False)
        self._chunk = min(self._chunk * self._options.growth, self._options.max_chunk)
        return chunk

    def _turn(self, takes: int) -> None:
        """Fade over where what comes is of another take than what was looked ahead to."""
        self._turned = self._turned or takes != self._takes
        self._takes = takes

    def finish(self, hidden: Floats, takes: int = 0) -> Iterator[Floats]:
        """The remaining chunks of a complete utterance ``hidden`` [T, hidden], of which ``takes``
        were refused.
        """
        self._turn(takes)
        while self._sent < len(hidden):
            left = len(hidden) - self._sent
            # A leftover smaller than a chunk joins the one before it.
            size = left if left < 2 * self._options.max_chunk else self._options.max_chunk
            yield self._window(hidden, self._sent + size, last=size == left)

    def _window(self, hidden: Floats, stop: int, last: bool) -> Floats:
        """Audio of the steps from the last sent to ``stop``, which is the end when ``last``."""
        start = max(0, self._sent - self._context)
        end = min(len(hidden), stop + self._look_ahead)
        try:
            audio = self._decode(hidden[None, start:end])[0]
        except NonFiniteError as error:
            whose = () if self._name is None else (self._name(),)
            raise error.within(f"steps {start} to {end - 1}", *whose) from error
        step = self._model.samples_per_step
        begin = (self._sent - start) * step
        cut = len(audio) if last else (stop - start) * step
        chunk: Floats = audio[begin:cut].copy()
        self._join(chunk)
        self._tail = None if last else audio[cut : cut + self._fade * step].copy()
        self._sent = stop
        return chunk

    def _join(self, chunk: Floats) -> None:
        """Fade from what the last window held for these samples into what this one holds."""
        # A take that was refused before anything was heard leaves nothing to fade from.
        turned, self._turned = self._turned, False
        if self._tail is None or not (self._always or turned):
            return
        count = min(len(self._tail), len(chunk))
        weight = ((np.arange(count) + 0.5) / max(count, 1)).astype(np.float32)
        chunk[:count] = (1 - weight) * self._tail[:count] + weight * chunk[:count]


def decode_in_windows(
    decode: DecodeHidden,
    model: ModelInfo,
    hidden: Floats,
    window: int = 512,
    name: Callable[[], str] | None = None,
) -> Floats:
    """Audio [samples] of hidden [T, hidden], ``window`` steps at a time: exact, bounded memory."""
    options = StreamOptions(first_chunk=window, max_chunk=window)
    stream = AudioStream(decode, model, options, name)
    chunks = [*stream.push(hidden), *stream.finish(hidden)]
    return np.concatenate(chunks) if chunks else np.zeros(0, dtype=np.float32)
