"""What a bundle says: every sentence with a voice and a seed of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chattts_onnx.bundle import Bundle
from chattts_onnx.decoding.request import Request
from chattts_onnx.errors import GenerationError
from chattts_onnx.speech.requests import make_prompt, make_request, new_batch
from chattts_onnx.speech.windows import decode_in_windows
from chattts_onnx.text import normalize
from pipeline.core.sentences import Sentence

Floats = npt.NDArray[np.float32]

SHORTEST_SECONDS = 0.15
"""Less than this is no utterance: the shortest words take about 0.2 s."""


@dataclass(frozen=True)
class Line:
    """One utterance to be made.

    Attributes:
        number: of the sentence; takes of one sentence share it.
        text: as it is written.
        language: ``en``, ``zh`` or ``mixed``.
        voice: seed or name of the speaker.
        seed: of the sampling.
        set: of the sentence.
    """

    number: int
    text: str
    language: str
    voice: int | str
    seed: int
    set: str = ""


@dataclass(frozen=True)
class Utterance:
    """What came of a line: ``audio`` float32 [samples], and whether it ended by itself."""

    line: Line
    audio: Floats
    sample_rate: int
    finished: bool

    @property
    def seconds(self) -> float:
        """Length of the audio."""
        return len(self.audio) / self.sample_rate

    @property
    def empty(self) -> bool:
        """Whether there is nothing to hear."""
        return self.seconds < SHORTEST_SECONDS or not np.isfinite(self.audio).all()

    @property
    def failed(self) -> bool:
        """Whether it ran to the length limit, is empty or is no sound."""
        return self.empty or not self.finished


def make_lines(
    sentences: Sequence[Sentence], takes: int, voices: Sequence[str], seed: int
) -> list[Line]:
    """``takes`` lines for each sentence; ``voices`` take turns, else each sentence has its own."""
    return [
        Line(
            number=number,
            text=sentence.text,
            language=sentence.language,
            voice=voices[(number + take) % len(voices)] if voices else sentence.voice_seed,
            seed=seed + take * len(sentences) + number,
            set=sentence.set,
        )
        for take in range(takes)
        for number, sentence in enumerate(sentences)
    ]


def speak(
    bundle: Bundle, lines: Sequence[Line], batch: int, max_steps: int, min_steps: int = 0
) -> list[Utterance]:
    """Say every line with the bundle's default sampling, ``batch`` at a time.

    All lines are queued at once, so the same bundle on the same machine says the same again.  A
    line that fails is empty; the others are not touched.

    Raises:
        VoiceError: the bundle has no such voice.
        InputError: a sentence is too long for the model.
    """
    params = bundle.default_params().but(max_new_tokens=max_steps, min_new_tokens=min_steps)
    requests = [
        make_request(
            bundle,
            make_prompt(bundle, spoken_text(line.text), None, speaker=True),
            params,
            speaker=bundle.speaker(line.voice),
            seed=line.seed,
        )
        for line in lines
    ]
    length = max(len(request.prompt) + request.params.max_new_tokens for request in requests)
    running = new_batch(bundle, min(batch, len(requests)), length)
    running.run(requests)
    pairs = zip(lines, requests, strict=True)
    return [_utterance(bundle, line, request) for line, request in pairs]


def spoken_text(text: str) -> str:
    """``text`` as the runtime reads it: numbers, dates and units in words."""
    return normalize(text).text


def _utterance(bundle: Bundle, line: Line, request: Request) -> Utterance:
    try:
        result = request.result()
    except GenerationError:
        # What cannot speak belongs into the report, and its gates stop it.
        return Utterance(line, np.zeros(0, np.float32), bundle.sample_rate, finished=False)
    audio = decode_in_windows(bundle.decode_hidden, bundle.model, result.hidden)
    return Utterance(line, audio, bundle.sample_rate, result.finished)
