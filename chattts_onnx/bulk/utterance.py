"""A line on its way to a file: its requests in turn, their audio joined, what came of it."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..audio.sinks import Sink, open_sink
from ..bundle import Bundle
from ..decoding.request import Request
from ..errors import ChatTTSError, InputError
from ..speech.options import shown_options
from ..speech.requests import Options
from ..speech.script import Joiner, Part, Script
from ..speech.timing import Timings, sentence_records
from ..speech.windows import decode_in_windows
from ..text import Piece
from .job import Settings
from .line import Line

Entry = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A line and the file its audio is written to."""

    line: Line
    path: Path


def line_script(bundle: Bundle, settings: Settings, line: Line) -> Script:
    """What is to be spoken of a line; raises what is wrong with it."""
    own: Options = {"text_options": settings.text_options}
    options: Options = {**own, **line.options}
    script = Script(bundle, line.text, line.voice, options)
    if script.silent:  # a corpus wants no file that says nothing
        raise InputError("the text has no word that can be spoken.")
    return script


class Utterance:
    """One line on its way: its pieces in turn, their audio joined in a file.

    ``last`` is the request after which there is none.
    """

    def __init__(self, bundle: Bundle, task: Task, settings: Settings) -> None:
        self.task = task
        self.last: Request | None = None
        self.error: ChatTTSError | None = None
        self._bundle, self._settings = bundle, settings
        self._sink: Sink | None = None
        self._parts: Iterator[Part] | None = None
        self._rest: deque[Callable[[Request], Request]] = deque()
        self._pieces: deque[Piece] = deque()
        self._timings = Timings()
        self._joiner = Joiner(bundle.sample_rate, self._timings)
        self._samples = 0
        self._finished = True

    def next_request(self, ended: Request | None = None) -> Request | None:
        """What follows the request that ``ended``: a pass of the same piece, or the next piece.

        None after the last, or when ``error`` says what is wrong.
        """
        try:
            if self._rest and ended is not None:
                return self._rest.popleft()(ended)
            if self._parts is None:
                self._parts = iter(line_script(self._bundle, self._settings, self.task.line))
            part = next(self._parts, None)
        except ChatTTSError as error:
            self.error = error
            return None
        if part is None:
            return None
        self._rest.extend(part.passes.rest)
        self._pieces.append(part.piece)
        return part.passes.first

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
        told = self._settings.keep_text and not failed
        return {
            **line_entry(self.task.line),
            "file": None,
            "sha256": None,
            "samples": 0 if failed else self._samples,
            "seconds": 0.0 if failed else round(self._samples / self._bundle.sample_rate, 6),
            "finished": not failed and self._finished,
            "sentences": sentence_records(self._timings.sentences) if told else None,
            **status(self.error),
        }

    def _write(self, request: Request) -> None:
        result = request.result()
        self._finished &= result.finished
        decode, model = self._bundle.decode_hidden, self._bundle.model
        audio = decode_in_windows(decode, model, result.hidden, name=lambda: request.name)
        self._sink = self._sink or self._open()
        for chunk in self._joiner.add(self._pieces.popleft(), [audio]):
            self._sink.write(chunk)
            self._samples += len(chunk)

    def _open(self) -> Sink:
        try:
            return open_sink(str(self.task.path), self._settings.format, self._bundle.sample_rate)
        except InputError as error:
            # The format was tried before; what is left is the folder's fault, not the line's.
            raise OSError(str(error)) from error


def line_entry(line: Line) -> Entry:
    """What the manifest says of a line whatever came of it."""
    return {
        "line": line.number,
        "id": line.id,
        "text": line.text,
        "text_sha256": hashlib.sha256(line.text.encode("utf-8", "surrogatepass")).hexdigest(),
        "voice": line.voice,
        "seed": None,
        "speed": None,
        **shown_options(line.options),
    }


def status(error: ChatTTSError | None) -> Entry:
    """``status`` and ``error`` of a manifest's line."""
    if error is None:
        return {"status": "ok", "error": None}
    return {"status": "error", "error": f"{type(error).__name__}: {error}"}
