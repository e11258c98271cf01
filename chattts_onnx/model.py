"""An opened bundle's graphs as functions on arrays: what speech is made of."""

from __future__ import annotations

import threading
from functools import cached_property, partial
from pathlib import Path
from typing import Any

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
from .format.abilities import Abilities
from .format.files import VerifiedFiles
from .format.manifest import GraphInfo, Manifest, ModelInfo
from .graphs.sessions import SessionConfig, check_external_data, node_assignment, open_session
from .native.decoder import NativeDecoder, run_rows
from .native.step import Step, choose_step
from .text import TextTokenizer
from .voices.collection import VoiceShelf
from .voices.vectors import Voice

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

TOKENIZER = "tokenizer.json"
VOICES = "voices"


class Model:
    """What :class:`~chattts_onnx.bundle.Bundle` is below its methods that speak.

    The array functions may be called from several threads.  ``verified`` are the files whose hashes
    were compared; None compares none.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        config: SessionConfig,
        verified: VerifiedFiles | None = None,
    ) -> None:
        self.path = path
        self._verified = verified
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
        self._require_unchanged(TOKENIZER)
        return TextTokenizer.load(self.path / TOKENIZER)

    def session(self, name: str) -> ort.InferenceSession:
        """The session of a graph (gpt, text_head, decoder, dvae_decode, dvae_encode, vocos)."""
        with self._lock:
            if name not in self._sessions:
                graph = self._graph(name)
                config = self.config.for_graph(name)
                self._sessions[name] = open_session(self.path / graph.file, graph, config)
            return self._sessions[name]

    def _graph(self, name: str) -> GraphInfo:
        """A graph that is to be opened, its files compared with their hashes if they changed."""
        graph = self.manifest.graph(name)
        self._require_unchanged(graph.file, graph.data)
        return graph

    def _require_unchanged(self, *names: str | None) -> None:
        if self._verified is not None:
            self._verified.require(*names)

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
                self._graph("gpt")
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
        config, graph = self.config, self._graph("gpt")
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
