"""The official package as an engine of the benchmark: ``python -m peer.official``.

Speaks the protocol of :mod:`peer.worker`; ``path`` holds a checkpoint in the official layout.

The package's own entry points do all the work, with its defaults but for two settings: the number
of steps is fixed through its ``min_new_token`` and ``max_new_token``, and the refine pass is
skipped, as for every engine.
"""

from __future__ import annotations

import logging
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import ChatTTS
import torch
from ChatTTS.model import gen_logits

from peer.layout import HASHED_FILES, VOCOS, read_sizes
from peer.loading import load_chat
from peer.worker import Timing, main

VERSION = metadata.version("chattts")
SAMPLE_RATE = 24_000


class Clock:
    """Logits processor that notes when each step's logits are ready, and changes nothing."""

    def __init__(self) -> None:
        self.ticks: list[float] = []

    def __call__(self, generated: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.ticks.append(time.perf_counter())
        return scores


class OfficialEngine:
    """The official package on one checkpoint."""

    def __init__(self, path: str, threads: int, seed: int) -> None:
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        logging.getLogger("chattts").setLevel(logging.ERROR)
        self.folder = Path(path)
        self.chat = load_chat(self.folder)
        self.voice = self.chat.sample_random_speaker()
        self.hop_length = read_sizes(self.folder).vocos.hop_length

    def describe(self) -> dict[str, Any]:
        """Engine, provider, threads, versions and the size of the checkpoint on disk."""
        names = ("chattts", "torch", "transformers", "vector-quantize-pytorch", "vocos")
        return {
            "engine": f"chattts {VERSION} on PyTorch {torch.__version__} eager",
            "provider": str(self.chat.device),
            "threads": torch.get_num_threads(),
            "versions": {name: metadata.version(name) for name in names},
            "size_bytes": sum((self.folder / name).stat().st_size for name in HASHED_FILES),
        }

    def prefill(self, batch: int, tokens: int) -> Timing:
        """``batch`` prompts of ``tokens`` text positions, up to and with the first codes."""
        ids = self._random_prompt(batch, tokens)
        start = time.perf_counter()
        self._generate(ids, steps=1)
        return Timing(time.perf_counter() - start, steps=1)

    def decode(self, batch: int, length: int, steps: int) -> Timing:
        """``steps`` whole steps (sampling and GPT) after a prompt of ``length`` positions."""
        ticks = self._generate(self._random_prompt(batch, length), steps=steps + 1)
        return Timing(ticks[steps] - ticks[0], steps=steps)

    def sentence(self, text: str, batch: int, steps: int) -> Timing:
        """``text``, ``batch`` times at once, from text to waveform in exactly ``steps``."""
        start = time.perf_counter()
        self.chat.infer([text] * batch, **self._settings(steps))
        seconds = time.perf_counter() - start
        # The package deletes samples near zero afterwards; what it generated is what counts.
        samples = batch * (2 * steps - 1) * self.hop_length
        return Timing(seconds, samples / SAMPLE_RATE, steps)

    def first_audio(self, text: str, steps: int, look_ahead: int | None = None) -> Timing:
        """From text to the first piece of a stream of ``steps`` steps; no look-ahead to choose."""
        start = time.perf_counter()
        stream = self.chat.infer(text, stream=True, **self._settings(steps))
        piece = next(stream)
        seconds = time.perf_counter() - start
        stream.close()
        return Timing(seconds, piece.shape[-1] / SAMPLE_RATE, steps)

    def concurrent(
        self, text: str, requests: int, steps: int, look_ahead: int | None = None
    ) -> Timing:
        """Streams asked for at once, served one after the other: the package holds one state."""
        start = time.perf_counter()
        first = []
        for _ in range(requests):
            stream = self.chat.infer(text, stream=True, **self._settings(steps))
            for number, _piece in enumerate(stream):
                if number == 0:
                    first.append(time.perf_counter() - start)
        seconds = time.perf_counter() - start
        samples = requests * (2 * steps - 1) * self.hop_length
        return Timing(seconds, samples / SAMPLE_RATE, requests * steps, first)

    def _settings(self, steps: int) -> dict[str, Any]:
        # A new object each time: the package writes into the one that it is given.
        parameters = ChatTTS.Chat.InferCodeParams(
            spk_emb=self.voice, min_new_token=steps, max_new_token=steps, show_tqdm=False
        )
        return {
            "skip_refine_text": True,
            "split_text": False,
            "params_infer_code": parameters,
        }

    def _random_prompt(self, batch: int, tokens: int) -> torch.Tensor:
        gpt = self.chat.config.gpt
        ids = torch.randint(5, gpt.num_text_tokens, (batch, tokens, 1))
        return ids.expand(-1, -1, gpt.num_vq).contiguous()

    @torch.no_grad()
    def _generate(self, ids: torch.Tensor, steps: int) -> list[float]:
        """When the logits of each of ``steps`` steps were ready."""
        defaults = ChatTTS.Chat.InferCodeParams()
        end_token = self.chat.config.gpt.num_audio_tokens - 1
        warpers, processors = gen_logits(
            num_code=end_token,
            top_P=defaults.top_P,
            top_K=defaults.top_K,
            repetition_penalty=defaults.repetition_penalty,
        )
        clock = Clock()
        mask = torch.ones(ids.shape[:2], dtype=torch.bool)
        outputs = self.chat.gpt.generate(
            self.chat.embed(ids, mask),
            ids,
            temperature=torch.full((ids.shape[2],), defaults.temperature),
            eos_token=end_token,
            attention_mask=mask.long(),
            max_new_token=steps,
            min_new_token=steps,
            logits_processors=(clock, *processors, *warpers),
            return_hidden=True,
            show_tqdm=False,
        )
        for output in outputs:
            output.destroy()
        return clock.ticks


def open_engine(spec: dict[str, Any]) -> OfficialEngine:
    """Open the engine that the harness describes."""
    if not (Path(spec["path"]) / VOCOS).exists():
        raise FileNotFoundError(f"{spec['path']} holds no {VOCOS}: expected the official layout")
    return OfficialEngine(spec["path"], int(spec["threads"]), int(spec["seed"]))


if __name__ == "__main__":
    main(open_engine)
