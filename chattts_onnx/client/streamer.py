"""``ChatTTSStreamer``: text in, 24 kHz audio out while it is being made."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Unpack
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from ..bundle import Bundle, open_bundle
from ..errors import GenerationError, InputError
from ..speech.engine import Engine
from ..speech.live import LiveText, speak_live
from ..speech.narration import Narration
from ..speech.options import SpeechOptions, check_options, shown_options
from ..speech.script import Script
from ..speech.timing import Timings
from ..speech.windows import StreamOptions
from ..voices.vectors import Voice, encode_speaker
from .live import LiveSource
from .sources import Remote, RemoteSource, Source

log = logging.getLogger("chattts_onnx.client")

Audio = npt.NDArray[np.float32] | npt.NDArray[np.int16]


class ChatTTSStreamer:
    """Speaks texts as chunks of samples while they are generated.

    >>> with ChatTTSStreamer("http://127.0.0.1:8000", voice=7) as streamer:
    ...     for chunk in streamer.stream("The next train leaves from platform four.", speed=5):
    ...         play(chunk)          # float32 [samples] at streamer.sample_rate

    ``source`` is a server's address, a bundle's folder, or an opened :class:`Bundle`.  ``dtype`` is
    ``float32`` in -1..1 or ``int16``.  ``voice`` and ``variant`` are defaults; a local voice may
    be anything :meth:`Bundle.speaker` takes.  ``timeout`` seconds bound the wait for a server's
    next audio, ``slots`` the utterances that a bundle here speaks at once.

    Whatever fails is raised, by :meth:`stream` and :meth:`astream` alike, as the same class here
    and there: :class:`InputError` for what is wrong with a request, :class:`QueueFullError` (with
    ``retry_after`` from a server), :class:`BrokenStreamError` for audio that broke off.  An
    utterance without a sample is an error, too.  Safe to use from several threads.
    """

    def __init__(
        self,
        source: str | Path | Bundle,
        *,
        voice: Voice | None = None,
        variant: str | None = None,
        dtype: Literal["float32", "int16"] = "float32",
        api_key: str | None = None,
        timeout: float = 60.0,
        slots: int = 4,
        stream: StreamOptions | None = None,
    ) -> None:
        if dtype not in ("float32", "int16"):
            raise InputError(f"dtype is {dtype!r}; expected 'float32' or 'int16'.")
        self._voice, self._variant, self._dtype = voice, variant, dtype
        self._options = stream or StreamOptions()
        self._remote: Remote | None = None
        self._engine: Engine | None = None
        self._rate: int | None = None
        if isinstance(source, str) and "://" in source:
            self._remote = Remote(source, api_key, timeout)
            return
        self._bundle = source if isinstance(source, Bundle) else open_bundle(source)
        self._rate = self._bundle.sample_rate
        self._engine = Engine(self._bundle, slots=slots, queue_size=max(64, slots))

    def __enter__(self) -> ChatTTSStreamer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what a bundle here is speaking; a server goes on for others."""
        if self._engine is not None:
            self._engine.close()

    @property
    def sample_rate(self) -> int:
        """Samples per second: 24,000 with ChatTTS's checkpoints."""
        if self._rate is None and self._remote is not None:
            listed = self._remote.json("/v1/variants")["variants"]
            wanted = [v for v in listed if self._variant in (None, v["id"])] or listed
            self._rate = int(wanted[0]["sample_rate"])
        return self._rate or 24_000

    @property
    def voices(self) -> list[str]:
        """Names of the voices that belong to the bundle."""
        if self._remote is None:
            return list(self._bundle.shelf.names)
        wanted = f"?variant={quote(self._variant)}" if self._variant else ""
        return [voice["id"] for voice in self._remote.json(f"/v1/voices{wanted}")["voices"]]

    def stream(
        self,
        text: str | Iterable[str | None],
        voice: Voice | None = None,
        *,
        variant: str | None = None,
        timings: Timings | None = None,
        **options: Unpack[SpeechOptions],
    ) -> Iterator[Audio]:
        """Chunks [samples] of one text; leaving the loop early ends the request.

        ``text`` may be an iterator over one that is still being written: it is spoken from its
        first clause on, and None in it asks for what is there.  ``timings`` collects when each
        sentence and word is said; a server then hears the text sentence by sentence.  Nothing is
        sent before the first chunk is asked for.
        """
        source = self._open(text, voice, variant, options, timings)
        try:
            yield from self._told(source, text)
        finally:
            source.cancel()

    async def astream(
        self,
        text: str | AsyncIterable[str | None],
        voice: Voice | None = None,
        *,
        variant: str | None = None,
        timings: Timings | None = None,
        **options: Unpack[SpeechOptions],
    ) -> AsyncIterator[Audio]:
        """As :meth:`stream`, for coroutines; a cancelled task ends the request."""
        if not isinstance(text, str):
            sources: list[Source] = []

            def speak(live: LiveText) -> Iterator[Audio]:
                sources.append(self._open(live, voice, variant, options, timings))
                yield from self._told(sources[0], live)

            def cancel() -> None:
                for source in sources:
                    source.cancel()

            async for spoken in speak_live(text, speak, cancel):
                yield spoken
            return
        opening = asyncio.ensure_future(
            asyncio.to_thread(self._open, text, voice, variant, options, timings)
        )
        try:
            source = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_abandon)
            raise
        chunks = self._told(source, text)
        try:
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                yield chunk
        finally:
            source.cancel()

    def say(
        self,
        text: str,
        voice: Voice | None = None,
        *,
        variant: str | None = None,
        **options: Unpack[SpeechOptions],
    ) -> Audio:
        """The whole speech [samples] of a text; options as in :meth:`stream`."""
        return np.concatenate(list(self.stream(text, voice, variant=variant, **options)))

    def _open(
        self,
        text: str | Iterable[str | None],
        voice: Voice | None,
        variant: str | None,
        options: SpeechOptions,
        timings: Timings | None,
    ) -> Source:
        check_options(options)
        chosen = self._voice if voice is None else voice
        kind = variant or self._variant
        if self._remote is not None:
            named = chosen if isinstance(chosen, (str, int)) else _text_form(chosen)
            body = {"voice": named, "variant": kind, **shown_options(options)}
            given = {name: value for name, value in body.items() if value is not None}
            if timings is not None or not isinstance(text, str):
                parts = [text] if isinstance(text, str) else text
                return LiveSource(self._remote, given, parts, timings)
            source = RemoteSource(self._remote, {"text": text, **given})
            self._rate = source.sample_rate
            return source
        if self._engine is None:
            raise InputError("the streamer is closed.")
        options = {"seed": secrets.randbelow(2**31), **options}
        script = Script(self._bundle, text, chosen, options, live=not isinstance(text, str))
        return Narration(self._engine, script, self._options, timings)

    def _told(self, source: Source, text: object) -> Iterator[Audio]:
        """The source's chunks in the wanted type; its course in the log, without the text."""
        started, samples = time.perf_counter(), 0
        length = f"{len(text)} characters" if isinstance(text, str) else "a text as it is written"
        log.info("speaking %s", length)
        try:
            for chunk in source:
                if not samples:
                    log.info("first audio after %.3f s", time.perf_counter() - started)
                samples += len(chunk)
                yield chunk if self._dtype == "float32" else _int16(chunk)
        except GeneratorExit:
            log.info("left after %.2f s of audio", samples / source.sample_rate)
            raise
        except Exception as error:
            log.warning("failed: %s", type(error).__name__)
            raise
        if not samples:
            raise GenerationError("no audio came, and no error; the server is not as expected.")
        spent, seconds = time.perf_counter() - started, samples / source.sample_rate
        log.info("%.2f s of audio in %.3f s (RTF %.2f)", seconds, spent, spent / seconds)


def _int16(chunk: npt.NDArray[np.float32]) -> npt.NDArray[np.int16]:
    return np.round(np.clip(chunk, -1, 1) * 32767).astype(np.int16)


def _text_form(voice: Any) -> str | None:
    """What a server takes of a vector: its text form."""
    if voice is None:
        return None
    if isinstance(voice, Path):
        raise InputError("a server reads no files of yours; load the voice and give its vector.")
    return encode_speaker(voice)


def _abandon(opening: asyncio.Future[Source]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().cancel()
