"""The FP32 PyTorch reference as validation sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.text import TextTokenizer, code_prompt
from chattts_onnx.voices.vectors import random_speaker
from pipeline.checkpoint import layout
from pipeline.core.sentences import Sentence
from pipeline.fidelity.models import Array, AudioFormat, Spoken, SpokenPrompt
from pipeline.fidelity.reference_speech import ReferenceLoop
from pipeline.reference.model import Reference, load_reference


class ReferenceModel:
    """See :class:`pipeline.fidelity.models.Candidate`."""

    def __init__(self, reference: Reference, tokenizer: TextTokenizer) -> None:
        self.reference, self.tokenizer = reference, tokenizer
        self.forced, self.text_logits = reference.forced, reference.text_logits
        self.decode_hidden, self.decode_codes = reference.decode_hidden, reference.decode_codes
        self.encode = reference.encode

    @classmethod
    def load(cls, folder: Path, threads: int = 0) -> ReferenceModel:
        """Load the checkpoint in ``folder``, onto CUDA where there is one.

        ``threads`` are PyTorch's on the CPU; 0 leaves its own choice.

        Raises:
            CheckpointError: the checkpoint is damaged or not in the official layout.
        """
        if threads:
            torch.set_num_threads(threads)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        tokenizer = TextTokenizer.load(layout.find_root(folder) / layout.TOKENIZER)
        return cls(load_reference(folder, device), tokenizer)

    @property
    def audio_format(self) -> AudioFormat:
        """How this checkpoint's waveforms are compared."""
        dims = self.reference.dims
        return AudioFormat(dims.sample_rate, dims.hop_length, dims.n_fft, dims.num_mels)

    def prompt(self, sentence: Sentence) -> SpokenPrompt:
        """The code pass's prompt of ``sentence`` in the random voice of its seed."""
        dims = self.reference.dims
        ids = code_prompt(self.tokenizer, sentence.text, dims.num_vq, speaker=True).ids
        return SpokenPrompt(
            sentence.text, ids, random_speaker(sentence.voice_seed, dims.hidden_size)
        )

    def decoder_mel(self, hidden: Array) -> Array:
        """See the protocol."""
        return self._run(self.reference.modules.decoder, hidden)

    def dvae_mel(self, codes: Array) -> Array:
        """See the protocol."""
        return self._run(self.reference.modules.dvae.decode, codes)

    def vocode(self, mel: Array) -> Array:
        """See the protocol."""
        return self._run(self.reference.modules.vocos, mel)

    def speak(self, prompt: SpokenPrompt, steps: int, min_steps: int, seed: int) -> Spoken:
        """See the protocol; ChatTTS's default sampling, which is also every bundle's."""
        params = GenerationParams(max_new_tokens=steps, min_new_tokens=min_steps)
        loop = ReferenceLoop(self.reference, [prompt.ids], prompt.speaker[None], params, [seed])
        (result,) = loop.run()
        return Spoken(result.codes, result.hidden, result.finished)

    def _run(self, function: Callable[[torch.Tensor], torch.Tensor], array: Array) -> Array:
        with torch.inference_mode():
            tensor = torch.from_numpy(array).to(self.reference.device)
            return function(tensor).cpu().numpy()
