"""A line on its way to a file: its requests in turn, their audio joined, what came of it."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..audio.sinks import Sink, open_sink
from ..bundle import Bundle
from ..decoding.request import Request
from ..errors import ChatTTSError, InputError
from ..speech.narrate import bundle_pieces, silence, trailing_quiet
from ..speech.options import Options
from ..speech.requests import plan
from ..speech.windows import decode_in_windows
from ..text import Piece
from .errors import LineError
from .job import Settings
from .line import Line

Floats = npt.NDArray[np.float32]
Entry = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A line and the file its audio is written to."""

    line: Line
    path: Path


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


class Utterance:
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
