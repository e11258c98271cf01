"""Continuous batching: requests join and leave a running batch of slots."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from ..errors import GenerationError, InputError, NonFiniteError, RequestCancelledError
from .finite import describe, finite_rows
from .request import Pass, Request
from .sampling import Settings
from .slots import SlotDecoder
from .takes import Fault

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Batch:
    """The scheduler over a decoder: admits waiting requests in order, steps all running.

    ``text_logits`` maps hidden [n, hidden] to text logits [n, num_text_tokens] and is needed by
    refine passes only, whose end is ``text_end``.  Every step advances each running request by
    one; a request that ends makes room at once.  A take that is empty or that its watch finds wrong
    is drawn again from where its prompt ended, which costs no second prefill.  One failing request
    does not stop the others: its error is kept in it.  ``row_multiple`` fills a step's rows up to a
    multiple with idle ones, for kernels that round an odd last row in another way than the others.
    Not safe for use from several threads.
    """

    def __init__(
        self,
        decoder: SlotDecoder,
        text_logits: Callable[[Floats], Floats] | None = None,
        text_end: int | None = None,
        row_multiple: int = 1,
    ) -> None:
        self.decoder = decoder
        self._row_multiple = row_multiple
        self.waiting: deque[Request] = deque()
        self._rows: list[Request | None] = [None] * decoder.cache.slots
        self._settings = Settings(decoder.cache.slots)
        self._text_logits = text_logits
        self._text_end = text_end

    @property
    def running(self) -> list[Request]:
        """Requests that hold a slot."""
        return [row for row in self._rows if row is not None]

    @property
    def busy(self) -> bool:
        """Whether anything is running or waiting."""
        return bool(self.waiting) or any(row is not None for row in self._rows)

    def check(self, request: Request) -> None:
        """:class:`InputError` when the request can never run in this batch."""
        if request.kind is Pass.REFINE and (self._text_logits is None or self._text_end is None):
            raise InputError("this batch was built without the text head; no refine pass here.")
        need = len(request.prompt) + request.params.max_new_tokens - 1
        if need > self.decoder.cache.max_length:
            raise InputError(
                f"the prompt's {len(request.prompt)} tokens and max_new_tokens "
                f"{request.params.max_new_tokens} need {need} cache positions; this batch has "
                f"{self.decoder.cache.max_length}. Lower max_new_tokens or shorten the text."
            )

    def add(self, requests: Iterable[Request]) -> None:
        """Queue requests, each checked first."""
        for request in requests:
            self.check(request)
            self.waiting.append(request)

    def abort(self, error: Exception) -> list[Request]:
        """End everything, waiting or running, with ``error``; return those requests."""
        ended = list(self.waiting)
        self.waiting.clear()
        for request in ended:
            request.end(False, error)
        return ended + [
            self._leave(slot, False, error)
            for slot, row in enumerate(self._rows)
            if row is not None
        ]

    def step(self) -> list[Request]:
        """Admit what fits, advance every running request by one step; return those that ended."""
        ended = self._drop_cancelled()
        ended += self._admit()
        self._close_gaps()
        count = max((i + 1 for i, row in enumerate(self._rows) if row is not None), default=0)
        count = min(count + -count % self._row_multiple, len(self._rows))
        drawn = None
        if count and self._all_codes():
            drawn = self.decoder.draw(self._rows[:count], self._settings)
        if drawn is not None:
            ended += self._accept_drawn(*drawn)
        elif count:
            hidden, logits = self.decoder.step(count)
            slots = [i for i, row in enumerate(self._rows) if row is not None]
            if len(slots) < count:
                hidden, logits = hidden[slots], logits[slots]
            ended += self._accept(slots, hidden, logits)
        return ended

    def run(self, requests: Iterable[Request] = ()) -> None:
        """Queue ``requests`` and step until nothing is left."""
        self.add(requests)
        while self.busy:
            self.step()

    def _all_codes(self) -> bool:
        return all(row is None or row.kind is Pass.CODE for row in self._rows)

    def _accept_drawn(self, hidden: Floats, codes: Ints) -> list[Request]:
        """Keep one step that was sampled on the device: ``codes`` [count, num_vq]."""
        end = self._end(Pass.CODE)
        ended: list[Request] = []
        for slot, (states, tokens) in enumerate(zip(hidden, codes, strict=True)):
            request = self._rows[slot]
            if request is None:
                continue
            verdict: bool | Exception | None
            if -1 in (drawn := tokens.tolist()):
                verdict = _damage(request, states, None)
            elif end in drawn:
                verdict = self._end_take(slot, request, end)
            else:
                verdict = self._keep(slot, request, tokens, states)
            ended += self._conclude(slot, verdict)
        return ended

    def _conclude(self, slot: int, verdict: bool | Exception | None) -> list[Request]:
        """End the slot's request unless the verdict is None; [] or the request."""
        if verdict is None:
            return []
        if isinstance(verdict, Exception):
            return [self._leave(slot, False, verdict)]
        return [self._leave(slot, verdict, None)]

    def _admit(self) -> list[Request]:
        ended: list[Request] = []
        while self.waiting and None in self._rows:
            slot = self._rows.index(None)
            request = self.waiting.popleft()
            heads = 1 if request.kind is Pass.REFINE else self.decoder.model.num_vq
            request.begin(self.decoder.model.hidden_size, heads)
            speaker = np.zeros((1, self.decoder.model.hidden_size), dtype=np.float32)
            if request.speaker is not None:
                speaker[0] = request.speaker
            self._rows[slot] = request
            self._settings.set(slot, request.params)
            self.decoder.text_mask[slot] = request.kind is Pass.REFINE
            # One row a call: padding rows to a common length costs more here than a second pass
            # over the weights, and the attention scratch grows with rows times length squared.
            hidden, logits = self.decoder.prefill(slot, [request.prompt], speaker)
            request.mark_prefill()
            ended += self._accept([slot], hidden, logits)
        return ended

    def _drop_cancelled(self) -> list[Request]:
        ended = [request for request in self.waiting if request.cancelled]
        for request in ended:
            self.waiting.remove(request)
            request.end(False, RequestCancelledError("the request was cancelled."))
        for slot, row in enumerate(self._rows):
            if row is not None and row.cancelled:
                error = RequestCancelledError("the request was cancelled.")
                ended.append(self._leave(slot, False, error))
        return ended

    def _accept(self, slots: Sequence[int], hidden: Floats, logits: Floats) -> list[Request]:
        """Sample one step for ``slots``; ``hidden`` and ``logits`` hold one row for each."""
        ended: list[Request] = []
        kinds = [self._row(slot).kind for slot in slots]
        for kind in Pass:
            picked = [i for i, own in enumerate(kinds) if own is kind]
            if not picked:
                continue
            whole = len(picked) == len(hidden)
            states = hidden if whole else hidden[picked]
            if kind is Pass.REFINE:
                scores = self._refine_scores(states)
            else:
                scores = logits if whole else logits[picked]
            verdicts = self._sample([slots[i] for i in picked], states, scores)
            for slot, verdict in verdicts.items():
                ended += self._conclude(slot, verdict)
        return ended

    def _refine_scores(self, states: Floats) -> Floats:
        if self._text_logits is None:
            raise GenerationError("a refine pass is running without a text head.")
        return self._text_logits(states)[:, None, :]

    def _sample(
        self, slots: list[int], states: Floats, scores: Floats
    ) -> dict[int, bool | Exception | None]:
        """Draw and keep one step; say for each slot whether it ended (True: by itself)."""
        requests = [self._row(slot) for slot in slots]
        end = self._end(requests[0].kind)
        verdicts: dict[int, bool | Exception | None] = {}
        finite = finite_rows(scores) & finite_rows(states)
        usable = scores if finite.all() else np.where(finite[:, None, None], scores, np.float32(0))
        tokens = self._draw(slots, requests, usable, end)
        for i, (slot, request) in enumerate(zip(slots, requests, strict=True)):
            if request.first is None:
                request.first = states[i].copy(), usable[i].copy()
            if not finite[i]:
                verdicts[slot] = _damage(request, states[i], scores[i])
            elif (tokens[i] == end).any():
                verdicts[slot] = self._end_take(slot, request, end)
            else:
                verdicts[slot] = self._keep(slot, request, tokens[i], states[i])
        return verdicts

    def _keep(
        self, slot: int, request: Request, tokens: Ints, hidden: Floats
    ) -> bool | Exception | None:
        request.keep(tokens, hidden)
        self.decoder.input_ids[slot, 0] = tokens
        if request.watch and (found := request.watch.look(request.codes.view())):
            fault, start = found
            if request.again(fault, start or 0):
                return self._take_again(slot, request, self._end(request.kind))
            if start is not None:
                request.cut(start)
            return False
        return False if request.steps >= request.params.max_new_tokens else None

    def _end_take(self, slot: int, request: Request, end: int) -> bool | Exception | None:
        """The verdict on a take that ended by itself."""
        fault = Fault.EMPTY if not request.steps else None
        if fault is None and request.watch is not None:
            fault = request.watch.ended(request.steps)
        if fault is None:
            return True
        if request.again(fault):
            return self._take_again(slot, request, end)
        return True if request.steps else _empty(request)

    def _take_again(self, slot: int, request: Request, end: int) -> bool | Exception | None:
        """Draw the next take's first step, or go on from the steps of the last one that stay."""
        before = len(request.prompt)
        if request.steps:
            self.decoder.rewind(slot, before + request.steps - 1)
            self.decoder.input_ids[slot, 0] = request.codes.view()[-1]
            return None
        if request.first is None:
            raise GenerationError(f"slot {slot} has no first step to draw again.")
        self.decoder.rewind(slot, before)
        hidden, scores = request.first
        while True:
            tokens = self._draw([slot], [request], scores[None], end)[0]
            if not (tokens == end).any():
                return self._keep(slot, request, tokens, hidden)
            if not request.again(Fault.EMPTY):
                return _empty(request)

    def _draw(self, slots: list[int], requests: list[Request], scores: Floats, end: int) -> Ints:
        return self.decoder.sample(
            scores,
            np.stack([request.history for request in requests]),
            self._settings.take(np.asarray(slots)),
            np.stack([request.uniforms() for request in requests]),
            end,
            np.array([request.forbid_end for request in requests]),
        )

    def _end(self, kind: Pass) -> int:
        if kind is Pass.CODE:
            return self.decoder.model.end_token
        return -1 if self._text_end is None else self._text_end

    def _row(self, slot: int) -> Request:
        request = self._rows[slot]
        if request is None:
            raise GenerationError(f"slot {slot} holds no request.")
        return request

    def _leave(self, slot: int, finished: bool, error: Exception | None) -> Request:
        request = self._row(slot)
        request.end(finished, error)
        self._rows[slot] = None
        self.decoder.release(slot)
        return request

    def _close_gaps(self) -> None:
        """Move the last requests into free slots before them, so that no step runs an idle row."""
        while self.decoder.cache.movable and None in self._rows:
            gap = self._rows.index(None)
            last = max((i for i, row in enumerate(self._rows) if row is not None), default=-1)
            if last < gap:
                return
            self.decoder.move(last, gap)
            self._settings.move(last, gap)
            self._rows[gap], self._rows[last] = self._rows[last], None


def _damage(request: Request, states: Floats, scores: Floats | None) -> NonFiniteError:
    """What the step of one row gave first that is not finite: the hidden state, else the scores.

    ``scores`` is None where they stayed with who drew from them.
    """
    if not np.isfinite(states).all():
        return _not_finite(request, "gpt", "hidden", describe(states))
    refine = request.kind is Pass.REFINE
    graph, output = ("text_head", "text_logits") if refine else ("gpt", "logits")
    found = "NaN or infinity" if scores is None else describe(scores)
    return _not_finite(request, graph, output, found)


def _empty(request: Request) -> GenerationError:
    return GenerationError(
        f"the model ended at its first step in {request.refused.count(Fault.EMPTY) + 1} draws; "
        "change the text, the voice or the seed, or raise min_new_tokens."
    )


def _not_finite(request: Request, graph: str, output: str, found: str) -> NonFiniteError:
    return NonFiniteError(graph, output, found, (f"step {request.steps}", request.name))
