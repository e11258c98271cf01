"""What the harness asks of an engine, and how an engine is named to a worker process."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

REFERENCE = "reference"
WARM_STEPS = 8
"""Steps on a device before the timed ones: the first captures a CUDA graph, or is compiled."""


@dataclass(frozen=True)
class EngineSpec:
    """How a worker opens an engine.

    Attributes:
        name: the engine's name in the report; a bundle's is its variant.
        kind: ``reference`` (eager PyTorch) or ``bundle``, what a worker opens.
        path: the checkpoint's or the bundle's folder.
        threads: CPU threads.
        seed: seed of voices, random codes and sampling.
        device: ``cpu`` or ``cuda``; empty for what the engine takes by itself.
        mode: how steps run on a device: a bundle's ``host``, ``device`` or ``graph`` (see
            :mod:`pipeline.benchmark.device`), the reference's ``eager`` or ``compiled``.
        dtype: of the reference on a device, ``fp32`` or ``fp16``.
    """

    name: str
    kind: str
    path: str
    threads: int
    seed: int
    device: str = ""
    mode: str = ""
    dtype: str = "fp32"

    def as_dict(self) -> dict[str, Any]:
        """For the pipe to the worker."""
        return asdict(self)


@dataclass(frozen=True)
class Timing:
    """One measurement: seconds of work, seconds of audio it made and steps it took.

    ``first_audio`` holds the seconds until the first audio of each of several requests.
    """

    seconds: float
    audio_seconds: float = 0.0
    steps: int = 0
    first_audio: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For the pipe to the harness."""
        return asdict(self)


class Engine(Protocol):
    """An implementation of ChatTTS that can be timed; every method times its own work."""

    def describe(self) -> dict[str, Any]:
        """Provider, versions, ``size_bytes`` on disk and anything else worth reporting."""
        ...

    def peak_memory(self) -> int:
        """Bytes: the process's highest resident memory, or what it took of a GPU's."""
        ...

    def prefill(self, batch: int, tokens: int) -> Timing:
        """Run ``batch`` prompts of ``tokens`` text positions through the GPT."""
        ...

    def decode(self, batch: int, length: int, steps: int) -> Timing:
        """Run ``steps`` steps (GPT and sampling) after ``length`` positions in the cache."""
        ...

    def sentence(self, text: str, batch: int, steps: int) -> Timing:
        """Speak ``text`` ``batch`` times at once, from text to waveform, in exactly ``steps``."""
        ...

    def first_audio(self, text: str, steps: int, look_ahead: int | None = None) -> Timing:
        """Time from text to the first audio of a stream of ``steps`` steps.

        ``look_ahead`` limits how many steps beyond a chunk are waited for (None: as many as the
        chunk's exact samples need); an engine without that choice ignores it.
        """
        ...

    def concurrent(
        self, text: str, requests: int, steps: int, look_ahead: int | None = None
    ) -> Timing:
        """Stream ``text`` to ``requests`` listeners who all ask at once, ``steps`` steps each.

        An engine that serves one request at a time lets the others wait their turn.
        """
        ...
