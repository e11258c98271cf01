"""Speech for many clients from a few engines: admission, limits, exchange of bundles, shutdown.

Knows no web framework: the HTTP application and any other front (a Triton model, a test) call
:meth:`SpeechService.submit` and listen to the :class:`Speech` it returns.
"""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from ..errors import (
    ChatTTSError,
    InputError,
    OverloadedError,
    RequestCancelledError,
    SlowListenerError,
    StoppingError,
    TimeLimitError,
    TooLargeError,
    VoiceError,
)
from ..format.abilities import shortfalls
from ..speech.narration import Narration
from ..speech.script import Script
from ..speech.timing import Timings
from .buffer import ChunkBuffer
from .errors import without_message
from .observer import Observer
from .requests import SpeechRequest
from .settings import ServeSettings
from .speech import Item, Speech
from .variants import VariantRoom

Floats = npt.NDArray[np.float32]
log = logging.getLogger("chattts_onnx.serve")

_TICK = 0.1
_LEAVE = 10.0


class Encoder(Protocol):
    """Makes bytes of chunks; see :mod:`.encoders`."""

    def encode(self, chunk: Floats) -> bytes: ...
    def finish(self) -> bytes: ...


class SpeechService:
    """Call :meth:`start`, then :meth:`submit` from any thread, and :meth:`close` in the end."""

    def __init__(self, settings: ServeSettings, observer: Observer | None = None) -> None:
        self.settings = settings
        self.variants = VariantRoom(settings)
        self.observer = observer or Observer()
        self.ticks: list[Callable[[], object]] = []
        self._lock = threading.Lock()
        self._speeches: set[Speech] = set()
        self._background = 0
        self._recent: deque[float] = deque(maxlen=32)
        self._stopping = threading.Event()
        self._closed = threading.Event()
        self._started = False
        self._turn = threading.Lock() if settings.naive else contextlib.nullcontext()
        self._looked = time.monotonic()

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> SpeechService:
        """Open all bundles; returns when the service can speak."""
        self.variants.open_all()
        threading.Thread(target=self._housekeep, name="chattts-housekeeper", daemon=True).start()
        self._started = True
        return self

    @property
    def ready(self) -> bool:
        """Whether new requests are taken."""
        return self._started and not self._stopping.is_set()

    def stop(self) -> None:
        """Take nothing new; what runs has ``drain_seconds`` left.  Safe in a signal handler."""
        if not self._stopping.is_set():
            self._deadline = time.monotonic() + self.settings.drain_seconds
            self._stopping.set()

    def close(self) -> None:
        """Stop, wait for what runs until the deadline, cancel the rest, close the engines."""
        self.stop()
        while self.active and time.monotonic() < self._deadline:
            time.sleep(0.01)
        self.cancel_all()
        self._closed.set()
        self.variants.close()
        # Their threads have nothing left to wait for.
        limit = time.monotonic() + _LEAVE
        while self.active and time.monotonic() < limit:
            time.sleep(0.01)

    def cancel_all(self) -> None:
        """End every request with :class:`StoppingError`."""
        for speech in self._snapshot():
            speech.cancel(StoppingError("the server is shutting down; ask again."))

    def reload(self, name: str | None = None) -> dict[str, str]:
        """Exchange one bundle, or all of them: name -> revision.  See :class:`VariantRoom`."""
        revisions = {}
        for variant in [name] if name is not None else list(self.settings.bundles):
            try:
                revisions[variant] = self.variants.exchange(variant).revision
            except ChatTTSError:
                self.observer.exchanged(variant, "failed")
                raise
            self.observer.exchanged(variant, "ok")
        return revisions

    # -- state ----------------------------------------------------------------------------------

    @property
    def active(self) -> int:
        """Requests under way, waiting ones and lines of batch jobs included."""
        return len(self._speeches)

    def load(self) -> dict[str, tuple[int, int]]:
        """Variant -> requests that (run, wait) in its engine."""
        return {variant.name: variant.engine.load for variant in self.variants.current}

    def retry_after(self) -> int:
        """Seconds until a place may be free: the work under way over the rate of the last ones."""
        recent = list(self._recent)
        usual = sum(recent) / len(recent) if recent else 1.0
        turns = self.active / max(1, 1 if self.settings.naive else self.settings.slots)
        return min(60, max(1, math.ceil(usual * max(0.0, turns - 1))))

    # -- requests -------------------------------------------------------------------------------

    def submit(
        self,
        request: SpeechRequest,
        encoder: Callable[[int], Encoder] | None = None,
        *,
        background: bool = False,
        timed: bool = False,
    ) -> Speech:
        """Admit a request and start it; its audio comes as float32 [samples], or as the bytes of
        the ``encoder`` that is made for the sample rate.  ``timed`` lets a :class:`.PieceTime` come
        before the audio of each piece and after it.

        ``background`` is for a bounded number of own workers: they need no place in the queue.
        Raises :class:`OverloadedError`, :class:`StoppingError`, :class:`TooLargeError` or
        :class:`UnknownVariantError` at once; what else is wrong with the request is raised to the
        listener.
        """
        try:
            self._check(request)
            variant = self.variants.find(request.variant)
            given = request.options.get("seed")
            seed = secrets.randbelow(2**31) if given is None else given
            buffer: ChunkBuffer[Item] = ChunkBuffer(
                self.settings.buffer_seconds, self.settings.stall_seconds
            )
            speech = Speech(variant.name, seed, buffer)
            speech.sample_rate = variant.bundle.sample_rate
            made = encoder(speech.sample_rate) if encoder is not None else None
            self._admit(speech, background)
        except ChatTTSError as error:
            self.observer.refused(_refusal(error))
            raise
        threading.Thread(
            target=self._run,
            args=(speech, request, made, background, timed),
            name=f"chattts-speech-{speech.id}",
            daemon=True,
        ).start()
        return speech

    def _check(self, request: SpeechRequest) -> None:
        if not self.ready:
            raise StoppingError("the server is shutting down or not ready; ask again soon.")
        if len(request.text) > self.settings.max_chars:
            raise TooLargeError(
                f"the text has {len(request.text)} characters; this server takes "
                f"{self.settings.max_chars}. Split it."
            )
        if request.live is None and not request.text.strip():
            raise InputError("the text is empty; expected at least one word to speak.")

    def _admit(self, speech: Speech, background: bool) -> None:
        with self._lock:
            if not background and len(self._speeches) - self._background >= self.settings.limit:
                wait = self.retry_after()
                raise OverloadedError(
                    f"{self.settings.limit} requests are under way, as many as this server takes; "
                    f"try again in {wait} s.",
                    wait,
                )
            self._speeches.add(speech)
            self._background += background

    def _run(
        self,
        speech: Speech,
        request: SpeechRequest,
        encoder: Encoder | None,
        background: bool,
        timed: bool,
    ) -> None:
        error: BaseException | None = None
        try:
            with self._turn:
                self._speak(speech, request, encoder, timed)
        except BaseException as failure:
            error = failure
            speech.buffer.fail(failure)
        finally:
            if request.live is not None:
                request.live.fail(RequestCancelledError("the speech has ended."))
            with self._lock:
                self._speeches.discard(speech)
                self._background -= background
            self._tell(speech, request, error)

    def _speak(
        self, speech: Speech, request: SpeechRequest, encoder: Encoder | None, timed: bool
    ) -> None:
        with self.variants.lend(speech.variant) as variant:
            speech.sample_rate = variant.bundle.sample_rate
            bundle = variant.bundle
            options = request.limited(bundle, self.settings.max_new_tokens, speech.seed)
            speech.warnings = tuple(shortfalls(bundle.manifest, request.text, options))
            voice = bundle.shelf.shared(request.voice)  # its name may be no file of this machine
            named = str(request.voice) if request.voice in bundle.shelf.names else None
            language, live = bundle.shelf.language(named), request.live
            script = Script(
                bundle,
                live or request.text,
                voice,
                options,
                live=live is not None,
                language=language,
            )
            stream = None if self.settings.naive else self.settings.stream
            timings = Timings(lambda piece: speech.buffer.put(piece, 0.0)) if timed else None
            narration = Narration(variant.engine, script, stream, timings)
            speech.run(
                narration,
                encoder.encode if encoder else lambda chunk: chunk,
                encoder.finish if encoder else lambda: b"",
                lambda: self.observer.first_audio(speech.variant, speech.first_audio or 0.0),
            )

    def _tell(self, speech: Speech, request: SpeechRequest, error: BaseException | None) -> None:
        outcome = _outcome(error)
        seconds, spoken = speech.elapsed, speech.samples / max(1, speech.sample_rate)
        if error is None:
            self._recent.append(seconds)
        self.observer.ended(speech.variant, outcome, seconds, spoken)
        takes = speech.takes
        self.observer.drawn(speech.variant, takes.refused, takes.faults)
        first = "-" if speech.first_audio is None else f"{speech.first_audio:.3f}"
        log.info(
            "speech %s %s: %s, %d characters, %.2f s of audio in %.3f s, first after %s s, %s%s%s",
            speech.id,
            speech.variant,
            outcome,
            len(request.text),
            spoken,
            seconds,
            first,
            takes,
            # Messages may repeat what the user sent.
            f", {type(error).__name__}" if error is not None else "",
            f", text {request.text!r}, error {error}" if self.settings.log_texts else "",
        )
        if outcome == "failed" and error is not None:
            log.error("speech %s failed", speech.id, exc_info=without_message(error))

    # -- housekeeping ---------------------------------------------------------------------------

    def _snapshot(self) -> list[Speech]:
        with self._lock:
            return list(self._speeches)

    def _housekeep(self) -> None:
        while not self._closed.wait(_TICK):
            try:
                self._tick()
            except Exception:
                log.exception("housekeeping failed")

    def _tick(self) -> None:
        limit = self.settings.request_seconds
        for speech in self._snapshot():
            if speech.elapsed > limit:
                speech.cancel(TimeLimitError(f"the request took longer than {limit:g} s."))
        if self._stopping.is_set() and time.monotonic() > self._deadline:
            self.cancel_all()
        for tick in self.ticks:
            tick()
        every = self.settings.watch_seconds
        if every and not self._stopping.is_set() and time.monotonic() - self._looked >= every:
            self._looked = time.monotonic()
            self._watch()

    def _watch(self) -> None:
        for name in self.variants.changed():
            try:
                self.reload(name)
            except ChatTTSError as error:
                log.error("bundle %s was not exchanged: %s", name, error)


def _outcome(error: BaseException | None) -> str:
    kinds: tuple[tuple[type[BaseException], str], ...] = (
        (RequestCancelledError, "cancelled"),
        (TimeLimitError, "timeout"),
        (SlowListenerError, "slow"),
        (StoppingError, "stopped"),
        (InputError, "invalid"),
        (VoiceError, "invalid"),
    )
    if error is None:
        return "ok"
    return next((outcome for kind, outcome in kinds if isinstance(error, kind)), "failed")


def _refusal(error: BaseException) -> str:
    if isinstance(error, OverloadedError):
        return "overload"
    return "stopped" if isinstance(error, StoppingError) else "invalid"
