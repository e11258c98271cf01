"""Text of any length to speech, alone on the bundle and in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Unpack

import numpy as np
import numpy.typing as npt

from ..decoding.request import Request
from ..errors import ChatTTSError
from ..model import Model
from ..text.core.report import Report
from ..voices.vectors import Voice
from .requests import OnStep, Options, last_request, run_requests, stream_request
from .script import Joiner, Part, Script
from .takes import Takes, level_fault
from .timing import Timings
from .windows import StreamOptions, decode_in_windows

Floats = npt.NDArray[np.float32]

# Pieces generated together: more gain little on a CPU, and each holds a cache.
TOGETHER = 4


def narrate(
    bundle: Model,
    text: str | Iterable[str | None],
    voice: Voice | None = None,
    *,
    stream: StreamOptions | None = None,
    on_step: OnStep | None = None,
    report: Report | None = None,
    live: bool = False,
    timings: Timings | None = None,
    drawn: Takes | None = None,
    **options: Unpack[Options],
) -> Iterator[Floats]:
    """Speech as chunks float32 [samples]; silence between pieces comes as chunks of its own.

    ``text`` may be an iterable of its parts, such as an open file, or ``live``.  With ``stream``
    chunks come while a piece is generated; without, several pieces are generated at once.
    ``voice`` None draws one voice (by the seed) for all pieces where there are several.  ``report``
    collects what normalisation did, ``drawn`` counts takes, ``timings`` tells when each piece is
    said.  A text with nothing to say gives a short silence.  Raises what :class:`.Script` does, at
    once.
    """
    script = Script(bundle, text, voice, options, on_step, report, live=live)
    takes = Takes() if drawn is None else drawn
    return _speak(script, Joiner(script, timings), stream, takes)


def _speak(
    script: Script, joiner: Joiner, stream: StreamOptions | None, takes: Takes
) -> Iterator[Floats]:
    parts, done = iter(script), 0
    while group := list(islice(parts, 1 if stream else TOGETHER)):
        try:
            for part, chunks in _group(script.bundle, group, stream, takes):
                yield from joiner.add(part.piece, chunks)
        except ChatTTSError as error:
            if done + len(group) > 1:
                error.add_note(f"while speaking pieces {done + 1} to {done + len(group)}")
            raise
        done += len(group)
    yield from joiner.finish()


def _group(
    bundle: Model, group: list[Part], stream: StreamOptions | None, takes: Takes
) -> Iterator[tuple[Part, Iterable[Floats]]]:
    """The chunks of each piece."""
    if stream is not None:
        for part in group:
            request = last_request(bundle, part.passes)
            yield part, stream_request(bundle, request, stream)
            takes.add(request)
        return
    requests = [last_request(bundle, part.passes) for part in group]
    run_requests(bundle, requests)
    for number, (part, request) in enumerate(zip(group, requests, strict=True)):
        audio, request = _heard(bundle, request, f"text {number}")
        takes.add(request)
        yield part, [audio]


def _heard(bundle: Model, request: Request, name: str) -> tuple[Floats, Request]:
    """Audio of a request that ran, or of another take of it where that is silence."""
    while True:
        hidden = request.result().hidden
        audio = decode_in_windows(bundle.decode_hidden, bundle.model, hidden, name=lambda: name)
        fault = level_fault(audio, bundle.sample_rate) if request.watch else None
        again = None if fault is None else request.another(fault)
        if again is None:
            return audio, request
        request = again
        run_requests(bundle, [request])
