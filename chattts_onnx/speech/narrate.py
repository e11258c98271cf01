"""Text of any length to speech, alone on the bundle and in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Unpack

import numpy as np
import numpy.typing as npt

from ..errors import ChatTTSError
from ..model import Model
from ..text.report import Report
from ..voices.vectors import Voice
from .requests import OnStep, Options, last_request, run, stream_request
from .script import Joiner, Part, Script
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
    **options: Unpack[Options],
) -> Iterator[Floats]:
    """Speech as chunks float32 [samples]; silence between pieces comes as chunks of its own.

    ``text`` may be an iterable of its parts, such as an open file, or ``live``.  With ``stream``
    chunks come while a piece is generated; without, several pieces are generated at once.
    ``voice`` None draws one voice (by the seed) for all pieces where there are several.  ``report``
    collects what normalisation did, ``timings`` when each piece is said.  A text with nothing to
    say gives a short silence.  Raises what :class:`.Script` does, at once.
    """
    script = Script(bundle, text, voice, options, on_step, report, live=live)
    return _speak(script, stream, timings)


def _speak(
    script: Script, stream: StreamOptions | None, timings: Timings | None
) -> Iterator[Floats]:
    joiner, parts, done = Joiner(script.bundle.sample_rate, timings), iter(script), 0
    while group := list(islice(parts, 1 if stream else TOGETHER)):
        try:
            for part, chunks in _group(script.bundle, group, stream):
                yield from joiner.add(part.piece, chunks)
        except ChatTTSError as error:
            if done + len(group) > 1:
                error.add_note(f"while speaking pieces {done + 1} to {done + len(group)}")
            raise
        done += len(group)
    yield from joiner.finish()


def _group(
    bundle: Model, group: list[Part], stream: StreamOptions | None
) -> Iterator[tuple[Part, Iterable[Floats]]]:
    """The chunks of each piece."""
    if stream is not None:
        for part in group:
            yield part, stream_request(bundle, last_request(bundle, part.passes), stream)
        return
    results = run(bundle, [part.passes for part in group])
    decode, model = bundle.decode_hidden, bundle.model
    for number, (part, result) in enumerate(zip(group, results, strict=True)):
        name = partial("text {}".format, number)
        yield part, [decode_in_windows(decode, model, result.hidden, name=name)]
