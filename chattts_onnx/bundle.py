"""An opened bundle: its sessions, and the model's parts as functions on arrays."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from .decoding.decoder import Decoder
from .decoding.device import DecoderPool
from .decoding.device_step import open_step_session
from .decoding.finite import require_finite
from .decoding.forced import forced_pass, prefill_rows
from .decoding.params import GenerationParams
from .decoding.slots import SlotDecoder
from .errors import InputError
from .format.abilities import Abilities, AbilityWarning, shortfalls
from .format.installed import find_bundle
from .format.manifest import Manifest, ModelInfo
from .graphs.sessions import (
    Provider,
    SessionConfig,
    check_external_data,
    choose_providers,
    choose_threads,
    node_assignment,
    open_session,
)
from .native.choice import wanted_step
from .native.decoder import NativeDecoder, run_rows
from .native.step import Step, choose_step
from .text import TextTokenizer
from .voices.collection import VoiceShelf
from .voices.vectors import Voice

if TYPE_CHECKING:
    from .decoding.request import Generation, Request
    from .speech.options import Sample
    from .speech.windows import StreamOptions

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

TOKENIZER = "tokenizer.json"
VOICES = "voices"


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
    every file.
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
    return Bundle(folder, Manifest.load(folder, verify=verify), config)


class Bundle:
    """A bundle ready to use; made by :func:`open_bundle`.

    The array functions may be called from several threads.
    """

    def __init__(self, path: Path, manifest: Manifest, config: SessionConfig) -> None:
        self.path = path
        self.manifest = manifest
        self.config = config
        self._sessions: dict[str, ort.InferenceSession] = {}
        self._lock = threading.Lock()
        self._step: Step | None = None

    @property
    def model(self) -> ModelInfo:
        """The model's sizes."""
        return self.manifest.model

    @property
    def abilities(self) -> Abilities | None:
        """What its checkpoint can do, None where the bundle does not tell."""
        return Abilities.of(self.manifest)

    @property
    def sample_rate(self) -> int:
        """Audio samples per second."""
        return self.model.sample_rate

    @property
    def providers(self) -> list[str]:
        """Execution providers in order of preference."""
        return [name for name, _ in self.config.providers]

    @cached_property
    def tokenizer(self) -> TextTokenizer:
        """The bundle's tokenizer."""
        return TextTokenizer.load(self.path / TOKENIZER)

    def session(self, name: str) -> ort.InferenceSession:
        """The session of a graph (gpt, text_head, decoder, dvae_decode, dvae_encode, vocos)."""
        with self._lock:
            if name not in self._sessions:
                graph = self.manifest.graph(name)
                config = self.config.for_graph(name)
                self._sessions[name] = open_session(self.path / graph.file, graph, config)
            return self._sessions[name]

    def node_assignment(self) -> dict[str, dict[str, dict[str, int]]]:
        """For each open session: provider -> operator type -> number of nodes.

        Needs ``open_bundle(..., record_assignment=True)``.
        """
        if not self.config.record_assignment:
            raise InputError("open the bundle with record_assignment=True to see node placement.")
        return {name: node_assignment(session) for name, session in self._sessions.items()}

    def default_params(self, kind: str = "code") -> GenerationParams:
        """The bundle's generation settings of the pass ``code`` or ``refine``."""
        if kind not in self.manifest.generation:
            known = sorted(self.manifest.generation)
            raise InputError(f"no generation settings {kind!r} in this bundle; it has {known}.")
        return GenerationParams.of(self.manifest.generation[kind])

    @property
    def step(self) -> Step:
        """What runs the GPT's steps, and why; opens it when it is first asked for."""
        with self._lock:
            if self._step is None:
                self._step = choose_step(self.path, self.manifest, self.config)
            return self._step

    def decoder(self, slots: int, max_length: int) -> SlotDecoder:
        """A decoder with a cache of ``slots`` sequences of ``max_length`` tokens."""
        config = self.config
        if self.step.model is not None:
            return NativeDecoder(self.step.model, self.model, slots, max_length)
        if config.device != "cpu" and config.device_sampling:
            return self._pool.decoder(slots, max_length)
        session = self.session("gpt")
        return Decoder(session, self.model, slots, max_length, config.device, config.device_id)

    @cached_property
    def _pool(self) -> DecoderPool:
        """Decoders that keep everything on the GPU; their session replaces that of ``gpt``."""
        config, graph = self.config, self.manifest.graph("gpt")
        check_external_data(self.path / graph.file, graph.data)
        session = open_step_session(self.path / graph.file, self.model, config)
        self._sessions["gpt_step"] = session
        place = (config.device, config.device_id)
        return DecoderPool(session, self.model, place, config.cuda_graph)

    def forced(
        self,
        text_ids: npt.ArrayLike,
        attention_mask: npt.ArrayLike,
        codes: npt.ArrayLike,
        speaker: npt.ArrayLike | None = None,
    ) -> tuple[Floats, Floats]:
        """Teacher forcing in one call.

        ``text_ids`` int64 [B, S, num_vq] left-padded text positions, ``attention_mask`` [B, S]
        (1 = valid), ``codes`` [B, T, num_vq] with T >= 1, ``speaker`` [B, hidden] or None (a zero
        row means no speaker).  Returns hidden [B, T, hidden] and logits
        [B, T, num_vq, num_audio_tokens]; those at t predict ``codes[:, t]``.  What is not finite
        raises :class:`~chattts_onnx.errors.NonFiniteError`, here as in all functions below.
        """
        inputs = (text_ids, attention_mask, codes, speaker)
        native, config = self.step.model, self.config
        if native is not None:
            return forced_pass(self.model, inputs, partial(run_rows, native, self.model))
        place = (config.device, config.device_id)
        return forced_pass(
            self.model, inputs, partial(prefill_rows, self.session("gpt"), self.model, place)
        )

    def text_logits(self, hidden: npt.ArrayLike) -> Floats:
        """Text logits [n, num_text_tokens] of hidden [n, hidden]: the refine pass's head."""
        return self._require_finite("text_head", self.unchecked_text_logits(hidden))

    def unchecked_text_logits(self, hidden: npt.ArrayLike) -> Floats:
        """:meth:`text_logits` for a batch, which names the request whose row is not finite."""
        return self._run("text_head", "hidden", self._states(hidden, 2, "[n, hidden]"))

    def decode_hidden(self, hidden: npt.ArrayLike) -> Floats:
        """Waveform [B, (2T - 1) * hop] of GPT states hidden [B, T, hidden]."""
        return self.vocode(self.hidden_to_mel(hidden))

    def hidden_to_mel(self, hidden: npt.ArrayLike) -> Floats:
        """Log-mel [B, num_mels, 2T] of GPT states hidden [B, T, hidden]."""
        mel = self._run("decoder", "hidden", self._states(hidden, 3, "[B, T, hidden]"))
        return self._require_finite("decoder", mel)

    def decode_codes(self, codes: npt.ArrayLike) -> Floats:
        """Waveform [B, (2T - 1) * hop] of codes [B, T, num_vq], by way of the DVAE."""
        return self.vocode(self.codes_to_mel(codes))

    def codes_to_mel(self, codes: npt.ArrayLike) -> Floats:
        """Log-mel [B, num_mels, 2T] of codes [B, T, num_vq] without end tokens."""
        values = np.ascontiguousarray(codes, dtype=np.int64)
        if values.ndim != 3 or values.shape[1] < 1 or values.shape[2] != self.model.num_vq:
            raise InputError(
                f"codes have shape {list(values.shape)}; expected [B, T, {self.model.num_vq}] with "
                "at least one step."
            )
        if values.size and (values.min() < 0 or values.max() >= self.model.end_token):
            raise InputError(f"codes must lie in 0..{self.model.end_token - 1}.")
        return self._require_finite("dvae_decode", self._run("dvae_decode", "codes", values))

    def encode_audio(self, waveform: npt.ArrayLike) -> Ints:
        """Codes [B, T, num_vq] of a waveform [B, samples] at the model's sample rate."""
        values = np.ascontiguousarray(waveform, dtype=np.float32)
        if values.ndim != 2 or values.shape[1] < self.model.samples_per_step:
            raise InputError(f"waveform has shape {list(values.shape)}; expected [B, samples].")
        codes: Ints = self.session("dvae_encode").run(["codes"], {"waveform": values})[0]
        return codes

    def vocode(self, mel: npt.ArrayLike) -> Floats:
        """Waveform [B, (frames - 1) * hop] of log-mel [B, num_mels, frames]."""
        waveform = self._run("vocos", "mel", np.ascontiguousarray(mel, dtype=np.float32))
        return self._require_finite("vocos", waveform)

    def speaker(self, voice: Voice | None) -> Floats | None:
        """Speaker vector [hidden] of a voice, None for None.

        An integer (or a string of digits) draws a random voice by seed.  A string names a voice
        of the bundle or a file (``file#NAME`` picks from a collection), or is a voice's text form;
        anything else is taken as the vector itself.
        """
        return None if voice is None else self.shelf.vector(voice)

    @cached_property
    def shelf(self) -> VoiceShelf:
        """Voices: random ones by seed, and the named ones in the bundle's folder."""
        return VoiceShelf(self.path / VOICES, self.model.hidden_size)

    def clone(self, recording: Path | str, transcript: str) -> Sample:
        """A :class:`Sample` of a recording with its transcript; see :mod:`.cloning`."""
        from .speech.cloning import make_sample

        return make_sample(self, recording, transcript)

    def prepare(self, text: str, speed: int | None = None, speaker: bool = True) -> Ints:
        """Prompt ids int64 [S, num_vq] of the code pass; ``speaker`` reserves the voice's place."""
        from .speech.requests import make_prompt

        return make_prompt(self, text, speed, speaker).ids

    @overload
    def generate(self, text: str, voice: Any = None, **options: Any) -> Generation: ...

    @overload
    def generate(self, text: list[str], voice: Any = None, **options: Any) -> list[Generation]: ...

    def generate(
        self, text: str | Sequence[str], voice: Any = None, **options: Any
    ) -> Generation | list[Generation]:
        """Codes and hidden states of a text, or of each of several; see :func:`.generate`."""
        from .speech.requests import generate

        for one in [text] if isinstance(text, str) else text:
            self._warn(one, options)
        return generate(self, text, voice, **options)

    def say(self, text: str, voice: Any = None, **options: Any) -> Floats:
        """Speech float32 [samples] of a text; see :func:`chattts_onnx.speech.requests.say`."""
        from .speech.requests import say

        self._warn(text, options)
        return say(self, text, voice, **options)

    def stream(
        self,
        text: str,
        voice: Any = None,
        stream: StreamOptions | None = None,
        on_step: Callable[[Request], object] | None = None,
        **options: Any,
    ) -> Iterator[Floats]:
        """Speech as chunks float32 [samples] while it is generated; see :func:`.stream`."""
        from .speech.requests import stream as stream_

        self._warn(text, options)
        return stream_(self, text, voice, stream=stream, on_step=on_step, **options)

    def _warn(self, text: str, options: Mapping[str, Any]) -> None:
        for line in shortfalls(self.manifest, text, options):
            warnings.warn(line, AbilityWarning, stacklevel=3)

    def _require_finite(self, graph: str, values: Floats) -> Floats:
        output = self.manifest.graph(graph).outputs[0].name
        require_finite(values, graph, output, ("row",) if len(values) > 1 else ())
        return values

    def _states(self, hidden: npt.ArrayLike, dims: int, expected: str) -> Floats:
        values = np.ascontiguousarray(hidden, dtype=np.float32)
        if values.ndim != dims or values.shape[-1] != self.model.hidden_size or not values.size:
            raise InputError(
                f"hidden has shape {list(values.shape)}; expected {expected} with hidden "
                f"{self.model.hidden_size}, not empty."
            )
        return values

    def _run(self, graph: str, name: str, value: npt.NDArray[Any]) -> Floats:
        outputs = [tensor.name for tensor in self.manifest.graph(graph).outputs[:1]]
        result: Floats = self.session(graph).run(outputs, {name: value})[0]
        return result
