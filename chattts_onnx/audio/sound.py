"""Tempo, pitch, volume and loudness of speech that is made, whatever the checkpoint can do.

ffmpeg's filters do it, through the extra ``media``: ``atempo`` (waveform-similarity overlap-add),
``ebur128`` and ``alimiter``.  They take chunks as they come, so streams have them too.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError

Floats = npt.NDArray[np.float32]
_Filters = list[tuple[str, str]]

# One filter stretches well within an octave.
_STRETCH = 2.0
_PEAK = 0.95
HEARD = 3.0
"""Seconds of a stream's piece whose loudness is taken for the whole piece's."""
_MOST_GAIN, _SILENCE = 40.0, -69.0


@dataclass(frozen=True)
class Sound:
    """What is done to speech: ``tempo`` as a factor, ``pitch`` in semitones, ``volume`` in dB,
    ``loudness`` in LUFS (None: as it comes).
    """

    tempo: float = 1.0
    pitch: float = 0.0
    volume: float = 0.0
    loudness: float | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Sound | None:
        """From speech options; None where nothing is to be done.

        Raises :class:`InputError` where what does it is not installed.
        """
        names = ("tempo", "pitch", "volume", "loudness")
        given = {name: value for name in names if (value := options.get(name)) is not None}
        sound = cls(**given)
        if sound == cls():
            return None
        if not stretches():
            raise InputError(
                f"{', '.join(given)} needs PyAV. Install chattts-onnx[media], or leave it out."
            )
        return sound

    def apply(self, chunks: Iterable[Floats], sample_rate: int) -> Iterator[Floats]:
        """``chunks`` float32 [samples] of a piece of speech with it done, as they come.

        ``loudness`` listens to :data:`HEARD` seconds before it lets the first through, or to the
        whole where it comes in one chunk.
        """
        chunks = _run(self._stretch(sample_rate), chunks, sample_rate)
        gain = self.volume
        if self.loudness is not None:
            held = _hold(chunks, round(HEARD * sample_rate))
            known = measure(held, sample_rate)
            gain += 0.0 if known is None else min(self.loudness - known, _MOST_GAIN)
            chunks = chain([held], chunks)
        return _run(_amplify(gain), chunks, sample_rate)

    def _stretch(self, sample_rate: int) -> _Filters:
        # Played faster, speech is higher; the tempo is then what is left to do.
        rate = round(sample_rate * 2 ** (self.pitch / 12))
        found = []
        if rate != sample_rate:
            found += [("asetrate", str(rate)), ("aresample", str(sample_rate))]
        factor = self.tempo * sample_rate / rate
        if factor != 1.0:
            count = max(1, math.ceil(abs(math.log(factor, _STRETCH)) - 1e-9))
            found += [("atempo", f"{factor ** (1 / count):.9f}")] * count
        return found


def stretches() -> bool:
    """Whether what this needs is installed."""
    return importlib.util.find_spec("av") is not None


def measure(audio: Floats, sample_rate: int) -> float | None:
    """Integrated loudness of ``audio`` [samples] in LUFS, by EBU R128; None of silence."""
    if not len(audio):
        return None
    # A block is 0.4 s; what is shorter is heard again.
    audio = np.tile(audio, -(-sample_rate // len(audio)))
    meter = _Chain([("ebur128", "metadata=1")], sample_rate)
    meter.push(audio)
    meter.push(None)
    found = [frame.metadata for frame in meter.frames()]
    known = [float(values["lavfi.r128.I"]) for values in found if "lavfi.r128.I" in values]
    return known[-1] if known and known[-1] > _SILENCE else None


def _amplify(gain: float) -> _Filters:
    limiter = [("alimiter", f"limit={_PEAK}:level=0")] if gain > 0 else []
    return [("volume", f"{gain:.4f}dB"), *limiter] if gain else []


def _hold(chunks: Iterator[Floats], samples: int) -> Floats:
    """The first chunks, up to ``samples`` or a little more."""
    held: list[Floats] = []
    while sum(map(len, held)) < samples and (chunk := next(chunks, None)) is not None:
        held.append(chunk)
    return np.concatenate(held) if held else np.zeros(0, dtype=np.float32)


def _run(filters: _Filters, chunks: Iterable[Floats], sample_rate: int) -> Iterator[Floats]:
    if not filters:
        yield from chunks
        return
    row, begun = _Chain(filters, sample_rate), False
    for chunk in chunks:
        if len(chunk):
            begun = True
            row.push(chunk)
            yield from row.arrays()
    if begun:
        row.push(None)
        yield from row.arrays()


class _Chain:
    """ffmpeg's filters in a row, which samples are pushed into and pulled out of."""

    def __init__(self, filters: _Filters, sample_rate: int) -> None:
        from av.filter import Graph

        self._rate, self._base, self._position = sample_rate, Fraction(1, sample_rate), 0
        # Kept, since its ends do not keep it alive.
        self._graph = graph = Graph()
        nodes: list[Any] = [
            graph.add_abuffer(
                sample_rate=sample_rate, format="flt", layout="mono", time_base=self._base
            )
        ]
        form = f"sample_fmts=flt:sample_rates={sample_rate}:channel_layouts=mono"
        for name, arguments in [*filters, ("aformat", form)]:
            nodes.append(graph.add(name, arguments))
        nodes.append(graph.add("abuffersink"))
        for before, after in pairwise(nodes):
            before.link_to(after)
        graph.configure()
        self._source, self._sink = nodes[0], nodes[-1]

    def push(self, audio: Floats | None) -> None:
        """Take samples, or None at the end."""
        import av

        if audio is None:
            self._source.push(None)
            return
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(audio[None], np.float32), format="flt", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = self._rate, self._position, self._base
        self._position += len(audio)
        self._source.push(frame)

    def frames(self) -> Iterator[Any]:
        """What has come through."""
        import av

        while True:
            try:
                yield self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    def arrays(self) -> Iterator[Floats]:
        """What has come through, in one chunk."""
        found = [frame.to_ndarray().reshape(-1) for frame in self.frames()]
        if found:
            yield np.concatenate(found).astype(np.float32, copy=False)
