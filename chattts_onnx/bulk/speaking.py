"""Many lines through one running batch: a slot that a line frees is taken by the next at once."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..audio_sinks import Sink, open_sink
from ..bundle import Bundle
from ..errors import ChatTTSError, InputError
from ..generation import Request
from ..longform import bundle_pieces, silence, trailing_quiet
from ..options import Options
from ..streaming import decode_in_windows
from ..synthesis import new_batch, plan
from ..text import Piece
from .errors import BulkError, LineError
from .files import write_error
from .job import Settings
from .line import Line

Floats = npt.NDArray[np.float32]
Entry = dict[str, Any]

# Kernels of 8-bit weights take rows in pairs and round an odd last row in another way, so a step
# of an even number of rows is what makes a line's audio the same whatever is spoken beside it.
ROW_MULTIPLE = 2


@dataclass(frozen=True)
class Task:
    """A line and the file its audio is written to."""

    line: Line
    path: Path


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
        self.options = line_options(bundle, settings)
        self._format = settings.format
        length = bundle.model.max_position_embeddings
        self._batch = new_batch(bundle, self.slots, length, ROW_MULTIPLE)
        self._rows_run = self._steps = 0

    @property
    def occupancy(self) -> float:
        """Share of the slots that were in use, over all steps so far."""
        return self._rows_run / (self._steps * self.slots) if self._steps else 0.0

    def speak(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Entry]]:
        """Each task with what came of it (see :meth:`_Utterance.entry`), as they end.

        Raises :class:`BulkError` when not a line but the machine is at fault.
        """
        source = iter(tasks)
        running: dict[Request, _Utterance] = {}
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
                        self._continue(spoken, request, running)
                        decoding.append((spoken, request, audio.submit(spoken.take, request)))
                    yield from self._collect(decoding, wait=not running)
            finally:
                self._batch.abort(BulkError("the job was stopped."))
                audio.shutdown(cancel_futures=True)
                for spoken in {*running.values(), *(spoken for spoken, _, _ in decoding)}:
                    spoken.abort()

    def _refill(
        self, source: Iterator[Task], running: dict[Request, _Utterance]
    ) -> Iterator[tuple[Task, Entry]]:
        """Take tasks until every slot has a request and as many wait; yield those that can't be."""
        while len(running) < 2 * self.slots:
            task = next(source, None)
            if task is None:
                return
            spoken = _Utterance(self.bundle, task, self.options, self._format)
            request = spoken.next_request()
            if request is None:
                yield task, spoken.entry()
            else:
                running[request] = spoken
                self._batch.add([request])

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

    def _continue(
        self, spoken: _Utterance, ended: Request, running: dict[Request, _Utterance]
    ) -> None:
        """Queue the line's next piece, if it has one and this one came out well."""
        following = None if ended.error is not None else spoken.next_request()
        if following is not None:
            running[following] = spoken
            self._batch.add([following])
        else:
            spoken.last = ended

    def _collect(self, decoding: _Decoding, wait: bool) -> Iterator[tuple[Task, Entry]]:
        while decoding and (wait or decoding[0][2].done() or len(decoding) > 2 * self.slots):
            spoken, request, future = decoding[0]
            try:
                future.result()
            except OSError as error:
                raise write_error(spoken.task.path, error) from error
            except Exception as error:
                raise BulkError(f"{spoken.task.path} was not made: {error}") from error
            decoding.popleft()
            # Its other pieces may all be decoded by the time that the first one is collected.
            if request is spoken.last:
                yield spoken.task, spoken.entry()


def line_options(bundle: Bundle, settings: Settings) -> Options:
    """The options all lines of a job share."""
    params = bundle.default_params("code")
    if changes := dict(settings.params):
        if "max_new_tokens" in changes and "min_new_tokens" not in changes:
            low = min(params.min_new_tokens, changes["max_new_tokens"])
            changes["min_new_tokens"] = max(0, low)
        params = params.but(**changes)
    return {
        "params": params,
        "normalize": settings.normalize,
        "text_options": settings.text_options,
        "piece_tokens": settings.piece_tokens,
    }


def first_request(bundle: Bundle, line: Line, options: Options) -> Request:
    """The request of a line's first piece; raises what is wrong with the line."""
    return _first(bundle, line, options)[0]


def line_pieces(bundle: Bundle, line: Line, options: Options) -> Iterator[Piece]:
    """The pieces a line is spoken in; :class:`LineError` when normalisation leaves none."""
    pieces = bundle_pieces(bundle, line.text, options)
    first = next(pieces, None)
    if first is None:
        raise LineError("nothing of the text can be spoken.")
    yield first
    yield from pieces


def _first(
    bundle: Bundle, line: Line, options: Options
) -> tuple[Request, Callable[[Piece, int], Request], Iterator[Piece]]:
    """A line's first request, how to make the others, and all its pieces."""
    pieces = line_pieces(bundle, line, options)
    head = list(islice(pieces, 2))
    # As narrate does it: pieces of one line share a voice, drawn by the line's seed.
    voice = line.seed if line.voice is None and len(head) > 1 else line.voice
    vector = bundle.speaker(voice)

    def request(piece: Piece, index: int) -> Request:
        own: Options = {
            "params": options.get("params"),
            "normalize": False,
            "seed": line.seed + index,
            "speed": line.speed,
        }
        made = plan(bundle, piece.text, vector, own)
        return made[0](None)

    return request(head[0], 0), request, chain(head, pieces)


_Decoding: TypeAlias = "deque[tuple[_Utterance, Request, Future[None]]]"


class _Utterance:
    """One line on its way: its pieces in turn, their audio joined in a file.

    ``last`` is the request after which there is none.
    """

    def __init__(self, bundle: Bundle, task: Task, options: Options, form: str) -> None:
        self.task = task
        self.last: Request | None = None
        self.error: ChatTTSError | None = None
        self._bundle, self._options, self._format = bundle, options, form
        self._sink: Sink | None = None
        self._make: Callable[[Piece, int], Request] | None = None
        self._pieces: Iterator[Piece] = iter(())
        self._pauses: deque[float] = deque()
        self._index = self._samples = self._quiet = 0
        self._pause = 0.0
        self._finished = True

    def next_request(self) -> Request | None:
        """The next piece's request; None after the last, or when ``error`` says what is wrong."""
        try:
            if self._make is None:
                request, self._make, self._pieces = _first(
                    self._bundle, self.task.line, self._options
                )
                self._pauses.append(next(self._pieces).pause)
                return request
            piece = next(self._pieces, None)
            if piece is None:
                return None
            self._index += 1
            request = self._make(piece, self._index)
            self._pauses.append(piece.pause)
            return request
        except ChatTTSError as error:
            self.error = error
            return None

    def take(self, request: Request) -> None:
        """Decode and write what a request gave; in the audio thread."""
        try:
            if self.error is None:
                self._write(request)
        except ChatTTSError as error:
            self.error = error
        if request is self.last:
            self.close()

    def close(self) -> None:
        """Finish the file, or remove it when the line failed."""
        if self._sink is not None and self.error is None:
            self._sink.close()
        else:
            self.abort()
        self._sink = None

    def abort(self) -> None:
        """Leave no file behind."""
        if self._sink is not None:
            self._sink.abort()
            self._sink = None

    def entry(self) -> Entry:
        """The line of the manifest, but for ``file`` and ``sha256``, which the shard knows."""
        failed = self.error is not None
        return {
            **line_entry(self.task.line),
            "file": None,
            "sha256": None,
            "samples": 0 if failed else self._samples,
            "seconds": 0.0 if failed else round(self._samples / self._bundle.sample_rate, 6),
            "finished": not failed and self._finished,
            **status(self.error),
        }

    def _write(self, request: Request) -> None:
        result = request.result()
        self._finished &= result.finished
        decode, model = self._bundle.decode_hidden, self._bundle.model
        audio = decode_in_windows(decode, model, result.hidden, name=lambda: request.name)
        if self._sink is None:
            self._sink = self._open()
        else:
            for pause in silence(self._bundle, self._pause, self._quiet):
                self._append(pause)
        self._append(audio)
        self._quiet = trailing_quiet(audio, 0)
        self._pause = self._pauses.popleft()

    def _open(self) -> Sink:
        try:
            return open_sink(str(self.task.path), self._format, self._bundle.sample_rate)
        except InputError as error:
            # The format was tried before; what is left is the folder's fault, not the line's.
            raise OSError(str(error)) from error

    def _append(self, audio: Floats) -> None:
        if self._sink is not None:
            self._sink.write(audio)
            self._samples += len(audio)


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


def line_entry(line: Line) -> Entry:
    """What the manifest says of a line whatever came of it."""
    return {
        "line": line.number,
        "id": line.id,
        "text": line.text,
        "text_sha256": hashlib.sha256(line.text.encode("utf-8", "surrogatepass")).hexdigest(),
        "voice": line.voice,
        "seed": line.seed,
        "speed": line.speed,
    }


def status(error: ChatTTSError | None) -> Entry:
    """``status`` and ``error`` of a manifest's line."""
    if error is None:
        return {"status": "ok", "error": None}
    return {"status": "error", "error": f"{type(error).__name__}: {error}"}
