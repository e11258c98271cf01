"""A bundle as validation sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from chattts_onnx import open_bundle
from chattts_onnx.bundle import Bundle
from chattts_onnx.decoding.batch import Batch
from chattts_onnx.decoding.request import Request
from chattts_onnx.text import Prompt
from pipeline.fidelity.models import Array, Spoken, SpokenPrompt


class BundleModel:
    """See :class:`pipeline.fidelity.models.Candidate`; what is judged is the public runtime."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def forced(
        self, text_ids: Array, attention_mask: Array, codes: Array, speaker: Array | None
    ) -> tuple[Array, Array]:
        """See the protocol."""
        return self.bundle.forced(text_ids, attention_mask, codes, speaker)

    def decode_hidden(self, hidden: Array) -> Array:
        """See the protocol."""
        return self.bundle.decode_hidden(hidden)

    def decode_codes(self, codes: Array) -> Array:
        """See the protocol."""
        return self.bundle.decode_codes(codes)

    def text_logits(self, hidden: Array) -> Array:
        """See the protocol."""
        return self.bundle.text_logits(hidden)

    def encode(self, waveform: Array) -> Array:
        """See the protocol."""
        return self.bundle.encode_audio(waveform)

    def decoder_mel(self, hidden: Array) -> Array:
        """See the protocol."""
        return self.bundle.hidden_to_mel(hidden)

    def dvae_mel(self, codes: Array) -> Array:
        """See the protocol."""
        return self.bundle.codes_to_mel(codes)

    def vocode(self, mel: Array) -> Array:
        """See the protocol."""
        return self.bundle.vocode(mel)

    def speak(self, prompt: SpokenPrompt, steps: int, min_steps: int, seed: int) -> Spoken:
        """See the protocol.

        The prompt's ids are taken as they are: the runtime's text normalisation has no part in
        what is compared.
        """
        params = self.bundle.default_params().but(max_new_tokens=steps, min_new_tokens=min_steps)
        ids = Prompt(prompt.ids, np.ones(len(prompt.ids), dtype=np.bool_))
        request = Request(ids, params, prompt.speaker, seed)
        batch = Batch(self.bundle.decoder(1, len(ids) + steps))
        batch.run([request])
        result = request.result()
        return Spoken(result.codes, result.hidden, result.finished)

    def placement(self) -> dict[str, Any]:
        """Providers asked for, what ran the GPT's steps, and graph -> provider -> operator -> nodes
        it ran."""
        return {
            "providers": self.bundle.providers,
            "step": str(self.bundle.step),
            "nodes": dict(sorted(self.bundle.node_assignment().items())),
        }


@contextmanager
def opened_bundle(path: Path, threads: int | None) -> Iterator[BundleModel]:
    """A :class:`BundleModel`; its sessions are freed when the block ends.

    CUDA where ONNX Runtime offers it, CPU otherwise.
    """
    bundle = open_bundle(path, threads=threads, record_assignment=True)
    model = BundleModel(bundle)
    yield model
