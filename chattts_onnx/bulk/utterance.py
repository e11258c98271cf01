"""A line on its way to a file: its requests in turn, their audio joined, what came of it."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..audio.sinks import Sink, open_sink
from ..bundle import Bundle
from ..decoding.request import Request
from ..decoding.takes import Fault
from ..errors import ChatTTSError, GenerationError, InputError
from ..model import Floats
from ..speech.options import shown_options
from ..speech.requests import Options
from ..speech.script import Joiner, Part, Script
from ..speech.takes import Takes, level_fault
from ..speech.timing import Timings, sentence_records
from ..speech.windows import decode_in_windows
from ..text import Piece
from .hearing import Check
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

    ``check`` hears each piece.
    """

    def __init__(
        self, bundle: Bundle, task: Task, settings: Settings, check: Check | None = None
    ) -> None:
        self.task = task
        self.error: ChatTTSError | None = None
        self._bundle, self._settings, self._check = bundle, settings, check
        self._sink: Sink | None = None
        self._parts: Iterator[Part] | None = None
        self._rest: deque[Callable[[Request], Request]] = deque()
        self._timings = Timings()
        self._piece: Piece | None = None
        self._joiner: Joiner | None = None
        self._again: Request | None = None
        self._takes = Takes()
        self._wrong = 0.0
        self._samples = 0
        self._finished = True

    def next_request(self, ended: Request | None = None) -> Request | None:
        """What follows the request that ``ended``: another take or pass of the same piece, or the
        next piece.

        None after the last, or when ``error`` says what is wrong.
        """
        if self.error is not None:
            return None
        if self._again is not None:
            again, self._again = self._again, None
            return again
        try:
            if self._rest and ended is not None:
                return self._rest.popleft()(ended)
            if self._parts is None:
                script = line_script(self._bundle, self._settings, self.task.line)
                self._parts, self._joiner = iter(script), Joiner(script, self._timings)
            part = next(self._parts, None)
        except ChatTTSError as error:
            self.error = error
            return None
        if part is None:
            return None
        self._rest.extend(part.passes.rest)
        self._piece = part.piece
        return part.passes.first

    def take(self, request: Request) -> None:
        """Decode and write what a request gave, or have another take of it; in the audio thread."""
        try:
            if self.error is None:
                self._write(request)
        except ChatTTSError as error:
            self.error = error

    def close(self) -> None:
        """Finish the file, or remove it when the line failed."""
        if self._sink is not None and self.error is None:
            if self._joiner is not None:
                self._put(self._joiner.finish())
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
            "drawn": self._takes.drawn,
            "refused": dict(self._takes.refused),
            "faults": dict(self._takes.faults),
            **({} if self._check is None else {"wrong": round(self._wrong, 4)}),
            **status(self.error),
        }

    def _write(self, request: Request) -> None:
        result, piece = request.result(), self._piece
        if piece is None or self._joiner is None:
            raise GenerationError("a request ended that no piece was asked for.")
        decode, model = self._bundle.decode_hidden, self._bundle.model
        audio = decode_in_windows(decode, model, result.hidden, name=lambda: request.name)
        fault, wrong = self._judge(request, piece, audio)
        if fault is not None and (again := request.another(fault)) is not None:
            self._again = again
            return
        self._takes.add(request)
        self._wrong = max(self._wrong, wrong)
        self._finished &= result.finished
        self._sink = self._sink or self._open()
        self._put(self._joiner.add(piece, [audio]))

    def _judge(self, request: Request, piece: Piece, audio: Floats) -> tuple[Fault | None, float]:
        """What is wrong with a piece's audio, and the share of its words that are."""
        rate = self._bundle.sample_rate
        silent = level_fault(audio, rate) if request.watch is not None else None
        if self._check is None:
            return silent, 0.0
        wrong = self._check.errors(piece.text, audio, rate)
        return silent or (Fault.UNHEARD if wrong > self._check.limit else None), wrong

    def _put(self, chunks: Iterable[Floats]) -> None:
        for chunk in chunks:
            if self._sink is not None:
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
