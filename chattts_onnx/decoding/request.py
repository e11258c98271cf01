"""One request's way through the model, and what comes out of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GenerationError
from ..text.prompts import Prompt
from .params import GenerationParams
from .sampling import PENALTY_WINDOW
from .takes import Fault, Watch

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Pass(Enum):
    """Which head a request samples from."""

    CODE = "code"
    REFINE = "refine"


@dataclass(frozen=True)
class Generation:
    """What one request produced.

    ``codes`` int64 [T, num_vq] (in a refine pass text ids [T, 1]) and ``hidden`` float32
    [T, hidden], the states that predicted them.  ``finished`` is true when the model ended by
    itself and false when ``max_new_tokens`` or the watch over the take stopped it.  ``timings`` in
    seconds: ``prefill``, ``decode`` (steps after the prefill), ``total``.  ``refused`` says what
    was wrong with the takes before this one, ``fault`` what is wrong with this one, which was the
    last that was allowed.
    """

    codes: Ints
    hidden: Floats
    finished: bool
    timings: dict[str, float]
    refused: tuple[Fault, ...] = ()
    fault: Fault | None = None

    def __len__(self) -> int:
        return len(self.codes)


class GrowingArray:
    """Rows appended to an array whose capacity doubles."""

    def __init__(self, width: int, dtype: type[np.generic], capacity: int = 64) -> None:
        self._data = np.empty((capacity, width), dtype=dtype)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def first(self, rows: int) -> GrowingArray:
        """A copy of the first ``rows``; views of this array stay as they are."""
        copy = GrowingArray(self._data.shape[1], self._data.dtype.type, len(self._data))
        copy._data[:rows] = self._data[:rows]
        copy._length = rows
        return copy

    def append(self, row: npt.NDArray[Any]) -> None:
        """Add one row [width]."""
        if self._length == len(self._data):
            grown = np.empty((2 * self._length, self._data.shape[1]), dtype=self._data.dtype)
            grown[: self._length] = self._data
            self._data = grown
        self._data[self._length] = row
        self._length += 1

    def view(self, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Rows ``start`` to ``stop``, not copied; stays valid while more are appended."""
        return self._data[start : self._length if stop is None else min(stop, self._length)]


class Status(Enum):
    """Where a request is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


@dataclass(eq=False)
class Request:
    """One sequence to generate and its state while it runs.

    ``speaker`` [hidden] or None.  ``seed`` starts a random stream of this request's own, so that
    its draws do not depend on what else is in the batch.  ``on_step`` is called with the request
    after each kept step; ``cancel`` may be called from any thread.

    A take that ``watch`` finds wrong is refused, and another one drawn with the next seed; one that
    is empty, with the next random numbers.  ``refused`` are the faults of those before this one,
    ``fault`` is that of the last one allowed.  Who plays it while it is made says by
    :meth:`commit` what can't be drawn again.
    """

    prompt: Prompt
    params: GenerationParams
    speaker: Floats | None = None
    seed: int | None = None
    kind: Pass = Pass.CODE
    on_step: Callable[[Request], object] | None = None
    watch: Watch | None = None
    refused: list[Fault] = field(default_factory=list)

    status: Status = field(default=Status.WAITING, init=False)
    fault: Fault | None = field(default=None, init=False)
    first: tuple[Floats, Floats] | None = field(default=None, init=False)
    finished: bool = field(default=False, init=False)
    error: Exception | None = field(default=None, init=False)
    timings: dict[str, float] = field(default_factory=dict, init=False)
    _cancelled: threading.Event = field(default_factory=threading.Event, init=False)
    _committed: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def begin(self, hidden_size: int, heads: int) -> None:
        """Allocate what the run needs; called when a slot is given."""
        self.status = Status.RUNNING
        self.codes = GrowingArray(heads, np.int64)
        self.hidden = GrowingArray(hidden_size, np.float32)
        self.history = np.full((PENALTY_WINDOW, heads), -1, dtype=np.int64)
        if self.seed is None:
            self.seed = int(np.random.SeedSequence().generate_state(1)[0])
        self._random = np.random.default_rng(self.drawn_with)
        self._started = time.perf_counter()

    @property
    def name(self) -> str:
        """How errors name it: what it takes to run it again, and nothing of its text."""
        return f"the {self.kind.value} pass with seed {self.seed}"

    @property
    def drawn_with(self) -> int:
        """The seed of this take; one that was empty goes on with the same random numbers."""
        return int(self.seed or 0) + len(self.refused) - self._empty

    @property
    def _empty(self) -> int:
        return self.refused.count(Fault.EMPTY)

    @property
    def steps(self) -> int:
        """Steps kept so far."""
        return len(self.codes)

    @property
    def forbid_end(self) -> bool:
        """Whether the end token may not be drawn yet."""
        return self.steps < self.params.min_new_tokens

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Ask for an end; the request leaves its slot before the next step."""
        self._cancelled.set()

    def uniforms(self) -> npt.NDArray[np.float64]:
        """Random numbers [heads] in [0, 1) of the next draw."""
        if self.params.reseed_each_step:
            again = self._empty if not self.steps else 0
            seed = self.drawn_with
            self._random = np.random.default_rng([seed, again] if again else seed)
        return self._random.random(self.history.shape[1])

    def keep(self, tokens: Ints, hidden: Floats) -> None:
        """Take one drawn step: ``tokens`` [heads] and the ``hidden`` [hidden] that predicted it."""
        self.history[self.steps % PENALTY_WINDOW] = tokens
        self.codes.append(tokens)
        self.hidden.append(hidden)
        if self.on_step is not None:
            self.on_step(self)

    def commit(self, played: int, needed: int) -> tuple[int, Floats] | None:
        """Say that the first ``played`` steps are about to be played: no take may change them.

        Returns the number of takes so far and hidden [T, hidden], or None when there are fewer than
        ``needed`` steps, as after a take was refused.
        """
        with self._lock:
            if self.steps < needed:
                return None
            self._committed = played
            return len(self.refused), self.hidden.view()

    def again(self, fault: Fault, start: int = 0) -> bool:
        """Refuse this take and go back to where another can be drawn; False when none is left.

        What was played stays, and then so does what came before ``start``, where it went wrong; a
        take of which nothing was played is drawn anew as a whole.  ``params.takes`` bounds them;
        those that were empty cost nothing and are bounded by ``params.retries``.
        """
        if not self._left(fault):
            return False
        with self._lock:
            self.refused.append(fault)
            self._cut(max(self._committed, start) if self._committed else 0)
            if fault is not Fault.EMPTY:
                self._random = np.random.default_rng(self.drawn_with)
        return True

    def cut(self, start: int) -> None:
        """Drop the steps from ``start`` on, but for those that were played."""
        with self._lock:
            self._cut(max(self._committed, start))

    def _cut(self, rows: int) -> None:
        # New arrays: a listener may still be decoding a view of the old ones.
        rows = min(rows, self.steps)
        self.codes, self.hidden = self.codes.first(rows), self.hidden.first(rows)
        self.history[...] = -1
        for step in range(max(0, rows - PENALTY_WINDOW), rows):
            self.history[step % PENALTY_WINDOW] = self.codes.view()[step]

    def another(self, fault: Fault) -> Request | None:
        """A request for another take of this finished one, which ``fault`` was found in later.

        None when none is left.
        """
        if not self._left(fault):
            return None
        return replace(self, on_step=None, refused=[*self.refused, fault])

    def _left(self, fault: Fault) -> bool:
        """Whether a take may follow one with this fault; keeps the fault of the last one."""
        if fault is Fault.EMPTY:
            left = self.params.retries > self._empty
        else:
            left = self.params.takes - 1 > len(self.refused) - self._empty
        self.fault = None if left else fault
        return left

    def mark_prefill(self) -> None:
        """Note the time the prompt took."""
        self.timings["prefill"] = time.perf_counter() - self._started

    def end(self, finished: bool, error: Exception | None = None) -> None:
        """Close the request."""
        if self.status is Status.RUNNING:
            total = time.perf_counter() - self._started
            self.timings["total"] = total
            self.timings["decode"] = total - self.timings.get("prefill", total)
        self.finished, self.error, self.status = finished, error, Status.DONE
        # Whoever listens holds this request: a cycle would keep its arrays until the garbage
        # collector looks at old objects, in a server minutes later.
        self.on_step = self.first = None

    def result(self) -> Generation:
        """What was generated; raises the request's error if it has one."""
        if self.error is not None:
            raise self.error
        if self.status is not Status.DONE:
            raise GenerationError("the request is not done yet; step its batch until it is.")
        codes, hidden = self.codes.view(), self.hidden.view()
        return Generation(
            codes.astype(np.int64),
            hidden.astype(np.float32),
            self.finished,
            dict(self.timings),
            tuple(self.refused),
            self.fault,
        )
