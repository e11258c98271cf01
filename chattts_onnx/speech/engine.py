"""Many requests at once from one set of weights: a worker thread over a :class:`Batch`."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Unpack

import numpy as np
import numpy.typing as npt

from ..decoding.request import Generation, Request, Status
from ..errors import ChatTTSError, GenerationError, InputError, QueueFullError
from ..model import Model
from ..voices.vectors import Voice
from .requests import Options, Passes, check, new_batch, plan
from .turns import Turns
from .windows import AudioStream, StreamOptions, decode_in_windows

Floats = npt.NDArray[np.float32]


class Ticket:
    """A submitted request: wait for it, listen to it while it runs, or cancel it.

    Audio is decoded in the thread that asks for it, in turns, so that neither the running batch
    nor the machine's cores are held up by a slow listener.  A first chunk goes before all others,
    then who will run out of sound first, then who wants the whole.
    """

    def __init__(self, bundle: Model, passes: Passes, audio_turns: Turns) -> None:
        self._bundle = bundle
        self._rest = list(passes.rest)
        self._audio_turns = audio_turns
        self._urgency = math.inf
        self._wanted = math.inf
        self._changed = threading.Condition()
        self._cancelled = False
        self._done = False
        self._error: Exception | None = None
        self._request = passes.first
        self._request.on_step = self._notify

    @property
    def done(self) -> bool:
        """Whether the request ended, in whatever way."""
        return self._done

    @property
    def refused(self) -> int:
        """Takes of the last pass that were refused so far."""
        return len(self._request.refused)

    @property
    def request(self) -> Request:
        """The last pass's request as it stands; raises the error if there is one."""
        return self._final()

    def cancel(self) -> None:
        """Give the slot back before the next step; results then raise RequestCancelledError."""
        with self._changed:
            self._cancelled = True
            self._request.cancel()

    def result(self, timeout: float | None = None) -> Generation:
        """The finished generation; :class:`TimeoutError` after ``timeout`` seconds."""
        limit = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not self._done:
                left = None if limit is None else limit - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError(f"the request was not done within {timeout} s.")
                self._changed.wait(left)
            return self._final().result()

    def audio(self, timeout: float | None = None) -> Floats:
        """Speech float32 [samples] once it is done."""
        hidden = self.result(timeout).hidden
        return decode_in_windows(self._decode, self._bundle.model, hidden, name=self._name)

    def chunks(self, stream: StreamOptions | None = None) -> Iterator[Floats]:
        """Speech as chunks while it is generated; leaving the loop early cancels the request."""
        audio = AudioStream(self._decode, self._bundle.model, stream, self._name)
        try:
            self._urgency = -math.inf
            while not self._await(audio.needed):
                chunk = audio.next(self._final())
                if chunk is not None:
                    self._sounds_until(len(chunk))
                    yield chunk
            last = self.result()
            for chunk in audio.finish(last.hidden, len(last.refused)):
                self._sounds_until(len(chunk))
                yield chunk
        finally:
            self.cancel()

    def _sounds_until(self, samples: int) -> None:
        """Move the time at which a listener who plays at once has nothing left."""
        start = self._urgency if math.isfinite(self._urgency) else time.monotonic()
        self._urgency = start + samples / self._bundle.sample_rate

    def _follow(self, previous: Request) -> Request | None:
        """The next pass's request (the refine pass comes before the code pass), None after all."""
        if not self._rest:
            return None
        request = self._rest[0](previous)
        request.on_step = self._notify
        with self._changed:
            # Together, so that a listener never takes the pass before for the last one.
            self._rest.pop(0)
            self._request = request
            if self._cancelled:
                request.cancel()
        return request

    def _finish(self, error: Exception | None = None) -> None:
        with self._changed:
            self._error, self._done = error, True
            self._changed.notify_all()

    def _notify(self, request: Request) -> None:
        # Waking a listener at every step would cost more than the step of a small model.
        if request.steps >= self._wanted:
            with self._changed:
                self._changed.notify_all()

    def _await(self, steps: int) -> bool:
        """Wait until the last pass has ``steps`` steps (False) or all is done (True)."""
        with self._changed:
            # Set before the steps are looked at: a step that comes in between then notifies.
            self._wanted = steps
            while not self._done and not self._has(steps):
                self._changed.wait()
            self._wanted = math.inf
            return self._done

    def _has(self, steps: int) -> bool:
        running = self._request.status is not Status.WAITING
        return running and not self._rest and self._request.steps >= steps

    def _final(self) -> Request:
        if self._error is not None:
            raise self._error
        return self._request

    def _name(self) -> str:
        return self._final().name

    def _decode(self, hidden: Floats) -> Floats:
        with self._audio_turns.turn(self._urgency):
            return self._bundle.decode_hidden(hidden)


class Engine:
    """Continuous batching: requests join and leave ``slots`` of one running batch, in order.

    What else runs does not change a request's codes: with the compiled step a row of a batch is bit
    for bit what it is alone, and with ONNX Runtime's on x86-64 with AVX-512 VNNI in ``fp32``,
    ``int8``, ``w8`` and ``w4``; its other kernels may round it differently.

    At most ``queue_size`` requests wait; one more is refused with :class:`QueueFullError`.
    ``max_length`` bounds prompt plus steps of one request (default: all positions of the model);
    on CPU it reserves addresses, not memory.  Engines that share the machine's cores share
    ``step_turns`` and ``audio_turns``, so that they take turns instead of crowding each other.  Use
    it as a context manager or call :meth:`close`.
    """

    def __init__(
        self,
        bundle: Model,
        slots: int = 8,
        queue_size: int = 32,
        max_length: int | None = None,
        *,
        step_turns: Turns | None = None,
        audio_turns: Turns | None = None,
    ) -> None:
        if queue_size < 1:
            raise InputError(f"queue_size is {queue_size}; expected at least 1.")
        self._bundle = bundle
        length = max_length or bundle.model.max_position_embeddings
        self._batch = new_batch(bundle, slots, length)
        self._queue_size = queue_size
        self._incoming: deque[tuple[Request, Ticket]] = deque()
        self._tickets: dict[Request, Ticket] = {}
        self._wake = threading.Condition()
        self._step_turns = step_turns or Turns()
        self._audio_turns = audio_turns or Turns()
        self._closed = False
        self._failures = 0
        self._worker = threading.Thread(target=self._work, name="chattts-engine", daemon=True)
        self._worker.start()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, text: str, voice: Voice | None = None, **options: Unpack[Options]) -> Ticket:
        """Queue one text; options as in :meth:`.Bundle.generate`.

        Raises :class:`QueueFullError` when too many wait, and :class:`InputError` at once when the
        request cannot run.
        """
        check(options)
        return self.queue(plan(self._bundle, text, voice, options))

    def queue(self, passes: Passes) -> Ticket:
        """Queue the passes of one text; raises as :meth:`submit` does, and may be tried again."""
        request = passes.first
        self._batch.check(request)
        ticket = Ticket(self._bundle, passes, self._audio_turns)
        with self._wake:
            if self._closed:
                raise InputError("the engine is closed.")
            if len(self._incoming) + len(self._batch.waiting) >= self._queue_size:
                raise QueueFullError(
                    f"{self._queue_size} requests are waiting already; try again later."
                )
            self._incoming.append((request, ticket))
            self._wake.notify_all()
        return ticket

    @property
    def load(self) -> tuple[int, int]:
        """Requests that (run, wait) now."""
        return len(self._batch.running), len(self._incoming) + len(self._batch.waiting)

    @property
    def failures(self) -> int:
        """Batches that failed since a step last succeeded, as all do once a GPU is lost."""
        return self._failures

    def close(self) -> None:
        """End at once: running and waiting requests fail with :class:`GenerationError`."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        self._worker.join()

    def _work(self) -> None:
        while self._receive():
            try:
                with self._step_turns.turn():
                    ended = self._batch.step()
            except Exception as error:
                failure = GenerationError(f"the batch failed: {error}")
                failure.__cause__ = error
                ended = self._batch.abort(failure)
                self._failures += 1
            else:
                self._failures = 0
            for request in ended:
                self._conclude(request)
        for request in self._batch.abort(GenerationError("the engine was closed.")):
            self._conclude(request)

    def _receive(self) -> bool:
        """Take over new requests, waiting while there is nothing to do; False to stop."""
        with self._wake:
            while not self._closed and not self._incoming and not self._batch.busy:
                self._wake.wait()
            while self._incoming:
                request, ticket = self._incoming.popleft()
                self._tickets[request] = ticket
                self._batch.waiting.append(request)
            return not self._closed

    def _conclude(self, request: Request) -> None:
        ticket = self._tickets.pop(request)
        error = request.error
        if error is None:
            try:
                following = ticket._follow(request)
                if following is not None:
                    self._batch.check(following)
                    self._tickets[following] = ticket
                    # It has waited its turn in its first pass.
                    self._batch.waiting.appendleft(following)
                    return
            except ChatTTSError as failure:
                error = failure
        ticket._finish(error)
