"""A bundle ready to speak: the face of the engine."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack, overload

from .audio.wav import join
from .decoding.request import Generation
from .format.abilities import AbilityWarning, shortfalls
from .format.files import VerifiedFiles
from .format.installed import find_bundle
from .format.manifest import Manifest
from .graphs.sessions import Provider, SessionConfig, choose_providers, choose_threads
from .model import Floats, Ints, Model
from .native.choice import wanted_step
from .speech.cloning import make_sample
from .speech.live import LiveText, speak_live
from .speech.narrate import narrate
from .speech.requests import OnStep, Options, Sample, generate, make_prompt
from .speech.timing import Timings
from .speech.windows import StreamOptions
from .voices.vectors import Voice


def open_bundle(
    path: Path | str | None = None,
    providers: Sequence[Provider] | None = None,
    threads: int | None = None,
    verify: bool = True,
    *,
    spinning: bool = True,
    record_assignment: bool = False,
    session_config: Mapping[str, str] | None = None,
    device_sampling: bool = True,
    audio_threads: int | None = None,
    huge_pages: bool = False,
    step: str | None = None,
) -> Bundle:
    """Open a bundle folder; graphs are loaded when they are first used.

    ``path`` may be the name of an installed bundle; None takes ``$CHATTTS_BUNDLE``, else the bundle
    that is installed.
    ``providers`` None takes CUDA where ONNX Runtime offers it, else CPU.  ``threads`` None takes
    the physical cores this process may use; ``audio_threads`` are those of the graphs that make
    audio, where they run beside the GPT (None: ``threads``).  ``verify`` checks size and sha256 of
    every file, and again those of a graph that changed before it is loaded.
    ``spinning`` lets pool threads spin during a run (never while idle).  ``record_assignment``
    makes :meth:`Bundle.node_assignment` available.  ``session_config`` holds further ONNX Runtime
    session entries.  On a GPU codes are drawn there, too, unless ``device_sampling`` is off; the
    CUDA provider's option ``enable_cuda_graph`` replays whole steps.  ``huge_pages`` makes steps on
    the CPU some percent faster and loading some tenths of a second slower (Linux): for processes
    that say more than a sentence.  ``step`` is what runs the GPT's steps: ``native`` is the
    compiled library, ``ort`` ONNX Runtime, ``auto`` (the default, or what the variable CHATTTS_STEP
    says) the library wherever it fits; :attr:`Bundle.step` says which one it is and why.

    Raises :class:`~chattts_onnx.errors.BundleError`, :class:`~chattts_onnx.errors.ProviderError`
    or :class:`~chattts_onnx.errors.InputError`.
    """
    config = SessionConfig(
        providers=choose_providers(providers),
        threads=choose_threads(threads),
        spinning=spinning,
        record_assignment=record_assignment,
        config=dict(session_config or {}),
        device_sampling=device_sampling,
        audio_threads=None if audio_threads is None else choose_threads(audio_threads),
        huge_pages=huge_pages,
        step=wanted_step(step),
    )
    folder = find_bundle(path)
    manifest = Manifest.load(folder, verify=False)
    return Bundle(
        folder, manifest, config, VerifiedFiles(folder, manifest.files) if verify else None
    )


class Bundle(Model):
    """A bundle ready to use; made by :func:`open_bundle`.

    Its functions on arrays may be called from several threads.
    """

    def prepare(self, text: str, speed: int | None = None, speaker: bool = True) -> Ints:
        """Prompt ids int64 [S, num_vq] of the code pass; ``speaker`` reserves the voice's place."""
        return make_prompt(self, text, speed, speaker).ids

    def clone(self, recording: Path | str, transcript: str) -> Sample:
        """A :class:`Sample` of a recording with its transcript; see :mod:`.speech.cloning`."""
        return make_sample(self, recording, transcript)

    @overload
    def generate(
        self,
        text: str,
        voice: Voice | None = None,
        on_step: OnStep | None = None,
        voices: Sequence[Voice | None] | None = None,
        **options: Unpack[Options],
    ) -> Generation: ...

    @overload
    def generate(
        self,
        text: list[str] | tuple[str, ...],
        voice: Voice | None = None,
        on_step: OnStep | None = None,
        voices: Sequence[Voice | None] | None = None,
        **options: Unpack[Options],
    ) -> list[Generation]: ...

    def generate(
        self,
        text: str | Sequence[str],
        voice: Voice | None = None,
        on_step: OnStep | None = None,
        voices: Sequence[Voice | None] | None = None,
        **options: Unpack[Options],
    ) -> Generation | list[Generation]:
        """Codes and hidden states: one :class:`Generation` for a string, a list for a sequence.

        ``voice`` is anything :meth:`Bundle.speaker` takes, one for all texts; ``voices`` has one
        for each text instead.  ``on_step`` is called with the :class:`Request` after each step.  A
        text is one piece however long it is.  The first failing text's error is raised.
        """
        # What is neither is named as a text that is none.
        single = isinstance(text, str) or not isinstance(text, Sequence)
        texts: list[Any] = [text] if single else list(text)
        for one in texts:
            self._warn(one, options)
        results = generate(self, texts, voice, on_step, voices, **options)
        return results[0] if single else results

    def say(
        self,
        text: str,
        voice: Voice | None = None,
        on_step: OnStep | None = None,
        timings: Timings | None = None,
        **options: Unpack[Options],
    ) -> Floats:
        """Speech float32 [samples] of one text, in pieces where it is long.

        ``timings`` collects when each sentence and word is said.  A text in which nothing is to be
        said (punctuation, an emoji) gives 0.25 s of silence.
        """
        self._warn(text, options)
        return join(narrate(self, text, voice, on_step=on_step, timings=timings, **options))

    def stream(
        self,
        text: str | Iterable[str | None],
        voice: Voice | None = None,
        stream: StreamOptions | None = None,
        on_step: OnStep | None = None,
        timings: Timings | None = None,
        **options: Unpack[Options],
    ) -> Iterator[Floats]:
        """Speech as chunks float32 [samples] while it is generated; joined, what ``say`` gives.

        ``text`` may be an iterator over a text that is still being written, such as the tokens of a
        language model: the first clause is spoken as soon as it ends, then each sentence.  None in
        it asks for what is there.
        """
        live = not isinstance(text, str)
        if isinstance(text, str):
            self._warn(text, options)
        return narrate(
            self,
            text,
            voice,
            stream=stream or StreamOptions(),
            on_step=on_step,
            live=live,
            timings=timings,
            **options,
        )

    def astream(
        self,
        text: AsyncIterable[str | None],
        voice: Voice | None = None,
        stream: StreamOptions | None = None,
        timings: Timings | None = None,
        **options: Unpack[Options],
    ) -> AsyncIterator[Floats]:
        """As :meth:`stream`, of a text that a coroutine writes; the event loop is not held up."""

        def speak(live: LiveText) -> Iterator[Floats]:
            return self.stream(live, voice, stream, timings=timings, **options)

        return speak_live(text, speak)

    def _warn(self, text: str, options: Options) -> None:
        for line in shortfalls(self.manifest, text, options):
            warnings.warn(line, AbilityWarning, stacklevel=3)
