"""Many lines through one running batch: a slot that a line frees is taken by the next at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

from ..bundle import Bundle
from ..decoding.request import Pass, Request
from ..errors import InputError
from ..speech.requests import new_batch
from .errors import BulkError
from .files import write_error
from .hearing import Check
from .job import Settings
from .utterance import Entry, Task, Utterance

# Kernels of 8-bit weights take rows in pairs and round an odd last row in another way, so a step
# of an even number of rows is what makes a line's audio the same whatever is spoken beside it.
ROW_MULTIPLE = 2


_Decoding: TypeAlias = "deque[tuple[Utterance, Future[None]]]"


class Speaker:
    """Speaks lines with ``slots`` running at once; made once, used for any number of them.

    A line's audio depends on the line, the bundle and the settings alone.  Memory depends on
    ``slots`` alone: what is finished lies in files.
    """

    def __init__(self, bundle: Bundle, settings: Settings, slots: int) -> None:
        if slots < 1:
            raise InputError(f"slots is {slots}; expected at least 1.")
        self.bundle = bundle
        _check_format(settings.format)
        self.slots = slots + slots % ROW_MULTIPLE
        self._settings = settings
        self._check = None if settings.check is None else Check(settings.check)
        length = bundle.model.max_position_embeddings
        self._batch = new_batch(bundle, self.slots, length, ROW_MULTIPLE)
        self._rows_run = self._steps = 0

    @property
    def occupancy(self) -> float:
        """Share of the slots that were in use, over all steps so far."""
        return self._rows_run / (self._steps * self.slots) if self._steps else 0.0

    def speak(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Entry]]:
        """Each task with what came of it (see :meth:`Utterance.entry`), as they end.

        Raises :class:`BulkError` when not a line but the machine is at fault.
        """
        source = iter(tasks)
        running: dict[Request, Utterance] = {}
        # Decoding in a second thread leaves the batch running; one thread keeps pieces in order.
        with ThreadPoolExecutor(1, "audio") as audio:
            decoding: _Decoding = deque()
            try:
                while True:
                    yield from self._refill(source, running)
                    if not running and not decoding:
                        return
                    for request in self._step():
                        spoken = running.pop(request)
                        if not self._goes_on(spoken, request, running):
                            decoding.append((spoken, audio.submit(spoken.take, request)))
                    yield from self._collect(decoding, running)
            finally:
                self._batch.abort(BulkError("the job was stopped."))
                audio.shutdown(cancel_futures=True)
                for spoken in {*running.values(), *(spoken for spoken, _ in decoding)}:
                    spoken.abort()

    def _refill(
        self, source: Iterator[Task], running: dict[Request, Utterance]
    ) -> Iterator[tuple[Task, Entry]]:
        """Take tasks until every slot has a request and as many wait; yield those that can't be."""
        while len(running) < 2 * self.slots:
            task = next(source, None)
            if task is None:
                return
            spoken = Utterance(self.bundle, task, self._settings, self._check)
            if not self._queue(spoken, spoken.next_request(), running):
                yield task, spoken.entry()

    def _step(self) -> list[Request]:
        if not self._batch.busy:
            return []
        try:
            ended = self._batch.step()
        except Exception as error:
            raise BulkError(f"the model failed to run: {error}") from error
        self._steps += 1
        self._rows_run += len(self._batch.running) + len(ended)
        return ended

    def _goes_on(
        self, spoken: Utterance, ended: Request, running: dict[Request, Utterance]
    ) -> bool:
        """Queue the code pass that follows a refine pass that went well."""
        if ended.kind is Pass.CODE or ended.error is not None:
            return False
        return self._queue(spoken, spoken.next_request(ended), running)

    def _queue(
        self, spoken: Utterance, request: Request | None, running: dict[Request, Utterance]
    ) -> bool:
        if request is not None:
            running[request] = spoken
            self._batch.add([request])
        return request is not None

    def _collect(
        self, decoding: _Decoding, running: dict[Request, Utterance]
    ) -> Iterator[tuple[Task, Entry]]:
        """Go on with the lines whose piece is decoded: another take, the next piece, or the end."""
        while decoding and (not running or decoding[0][1].done() or len(decoding) > 2 * self.slots):
            spoken, future = decoding[0]
            try:
                future.result()
                following = spoken.next_request()
                if following is None:
                    spoken.close()
            except OSError as error:
                raise write_error(spoken.task.path, error) from error
            except Exception as error:
                raise BulkError(f"{spoken.task.path} was not made: {error}") from error
            decoding.popleft()
            if not self._queue(spoken, following, running):
                yield spoken.task, spoken.entry()


def _check_format(form: str) -> None:
    """Say before any work that a format needs what is not installed."""
    if form == "wav":
        return
    try:
        import soundfile  # noqa: F401
    except (ImportError, OSError) as error:
        raise InputError(
            f"{form} needs soundfile. Install chattts-onnx[audio], or choose wav."
        ) from error
