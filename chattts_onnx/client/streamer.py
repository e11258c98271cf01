"""``ChatTTSStreamer``: text in, 24 kHz audio out while it is being made."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from ..bundle import Bundle, open_bundle
from ..errors import GenerationError, InputError
from ..serve.narration import Narration
from ..serve.requests import SpeechRequest
from ..speech.engine import Engine
from ..speech.windows import StreamOptions
from ..voices.vectors import Voice, encode_speaker
from .sources import LocalSource, Remote, RemoteSource, Source

log = logging.getLogger("chattts_onnx.client")

Audio = npt.NDArray[np.float32] | npt.NDArray[np.int16]


class Wishes(TypedDict, total=False):
    """Keyword options of one utterance: those of :class:`.SpeechRequest`."""

    seed: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    max_new_tokens: int | None
    refine: bool
    oral: int | None
    laugh: int | None
    break_: int | None
    normalize: bool
    language: Literal["auto", "zh", "en"] | None
    markup: Literal["auto", "plain", "ssml", "markdown"] | None
    code: Literal["read", "skip"] | None


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

    def stream(
        self,
        text: str,
        voice: Voice | None = None,
        *,
        speed: int | None = None,
        variant: str | None = None,
        **wishes: Unpack[Wishes],
    ) -> Iterator[Audio]:
        """Chunks [samples] of one text; leaving the loop early ends the request.

        ``speed`` 0 (slow) to 9 (fast) is a hint to the model.  Nothing is sent before the first
        chunk is asked for.
        """
        source = self._open(text, voice, speed, variant, wishes)
        try:
            yield from self._told(source, len(text))
        finally:
            source.cancel()

    async def astream(
        self,
        text: str,
        voice: Voice | None = None,
        *,
        speed: int | None = None,
        variant: str | None = None,
        **wishes: Unpack[Wishes],
    ) -> AsyncIterator[Audio]:
        """As :meth:`stream`, for coroutines; a cancelled task ends the request."""
        opening = asyncio.ensure_future(
            asyncio.to_thread(self._open, text, voice, speed, variant, wishes)
        )
        try:
            source = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_abandon)
            raise
        chunks = self._told(source, len(text))
        try:
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                yield chunk
        finally:
            source.cancel()

    def say(self, text: str, voice: Voice | None = None, **options: Any) -> Audio:
        """The whole speech [samples] of a text; options as in :meth:`stream`."""
        return np.concatenate(list(self.stream(text, voice, **options)))

    def _open(
        self,
        text: str,
        voice: Voice | None,
        speed: int | None,
        variant: str | None,
        wishes: Wishes,
    ) -> Source:
        chosen = self._voice if voice is None else voice
        kind = variant or self._variant
        if self._remote is not None:
            named = chosen if isinstance(chosen, (str, int)) else _text_form(chosen)
            body = {"text": text, "voice": named, "speed": speed, "variant": kind, **wishes}
            body["break"] = body.pop("break_", None)
            given = {name: value for name, value in body.items() if value is not None}
            source = RemoteSource(self._remote, given)
            self._rate = source.sample_rate
            return source
        if self._engine is None:
            raise InputError("the streamer is closed.")
        request = SpeechRequest(text, speed=speed, **wishes)
        seed = secrets.randbelow(2**31) if request.seed is None else request.seed
        most = self._bundle.default_params("code").max_new_tokens
        narration = Narration(
            self._engine,
            self._bundle,
            text,
            self._bundle.speaker(chosen),
            self._options,
            request.options(self._bundle, max(most, request.max_new_tokens or 0), seed),
        )
        return LocalSource(narration, self._bundle.sample_rate)

    def _told(self, source: Source, characters: int) -> Iterator[Audio]:
        """The source's chunks in the wanted type; its course in the log, without the text."""
        started, samples = time.perf_counter(), 0
        log.info("speaking %d characters", characters)
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
