"""The official package as an engine of the benchmark: ``python -m peer.official``.

Speaks the protocol of ``pipeline.benchmark.worker`` over stdin and stdout, one JSON object a line:
``{"open": {name, kind, path, threads, seed}}`` first, then ``{"call": name, "arguments": {...}}``
with ``prefill``, ``decode``, ``sentence``, ``first_audio`` or ``peak_memory``. Answers are
``{"result": ...}`` or ``{"error": type, "message": text}``. ``path`` holds a checkpoint in the
official layout.

The package's own entry points do all the work, with its defaults but for two settings: the number
of steps is fixed through its ``min_new_token`` and ``max_new_token``, and the refine pass is
skipped, as for every engine.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

import ChatTTS
import torch
from ChatTTS.model import gen_logits

from peer.layout import HASHED_FILES, VOCOS, read_sizes
from peer.loading import load_chat

VERSION = metadata.version("chattts")
MEASUREMENTS = ("prefill", "decode", "sentence", "first_audio", "concurrent")
SAMPLE_RATE = 24_000


@dataclass(frozen=True)
class Timing:
    """Seconds of work, seconds of audio it made (all sentences together) and steps it took."""

    seconds: float
    audio_seconds: float = 0.0
    steps: int = 0
    first_audio: list[float] = field(default_factory=list)


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


def peak_memory_bytes() -> int:
    """Highest resident memory of this process so far (Linux: VmHWM), in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM line: peak memory needs Linux")


def serve(requests: Iterable[str], answers: TextIO) -> None:
    """Answer ``requests`` until they end."""
    engine: OfficialEngine | None = None
    for line in requests:
        try:
            request = json.loads(line)
            if "open" in request:
                engine = open_engine(request["open"])
                result: Any = engine.describe()
            else:
                result = call(engine, request["call"], request.get("arguments", {}))
            answer: dict[str, Any] = {"result": result}
        except Exception as error:  # the harness shows it; a dead worker could not
            traceback.print_exc(file=sys.stderr)
            answer = {"error": type(error).__name__, "message": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def open_engine(spec: dict[str, Any]) -> OfficialEngine:
    """Open the engine that the harness describes."""
    if not (Path(spec["path"]) / VOCOS).exists():
        raise FileNotFoundError(f"{spec['path']} holds no {VOCOS}: expected the official layout")
    return OfficialEngine(spec["path"], int(spec["threads"]), int(spec["seed"]))


def call(engine: OfficialEngine | None, name: str, arguments: dict[str, Any]) -> Any:
    """Run one measurement and return its JSON value."""
    if name == "peak_memory":
        return peak_memory_bytes()
    if engine is None or name not in MEASUREMENTS:
        raise ValueError(f"cannot call {name!r}: open an engine, then {', '.join(MEASUREMENTS)}")
    return asdict(getattr(engine, name)(**arguments))


def main() -> None:
    """Serve over the process's own stdin and stdout."""
    # A library that prints to stdout would break the protocol: it prints to stderr instead.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
