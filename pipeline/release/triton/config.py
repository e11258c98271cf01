"""Parameters of the triton stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SpeechModelConfig:
    """The decoupled model: text to chunks of audio.

    Attributes:
        instances: processes, each with weights and an engine of its own.
        slots: requests that one instance speaks at once.
        queue_size: requests that wait in one instance before it refuses.
        threads: intra-op threads of an instance; 0 takes the physical cores.
        max_characters: longest text of one request.
    """

    instances: int = 1
    slots: int = 8
    queue_size: int = 32
    threads: int = 0
    max_characters: int = 5000


@dataclass(frozen=True)
class VocoderModelConfig:
    """The vocoder as a model of its own: log-mel to waveform.

    Attributes:
        backend: ``onnxruntime`` where the server has that backend (NVIDIA's images do), else
            ``python``: the same graph and the same interface in the Python backend.
        instances: sessions.
        threads: intra-op threads of a session; 0 takes all cores.
        max_batch_size: mels of one length that run together.
        max_queue_delay_microseconds: how long the first of them waits for others.
    """

    backend: Literal["onnxruntime", "python"] = "onnxruntime"
    instances: int = 1
    threads: int = 0
    max_batch_size: int = 8
    max_queue_delay_microseconds: int = 5000


@dataclass(frozen=True)
class TritonConfig:
    """Which bundle is served, where, and how.

    Attributes:
        variant: the bundle below ``bundles/``.
        device: ``cpu``, or ``gpu`` for instances of KIND_GPU on the CUDA provider.
        speech: the decoupled model.
        vocoder: the vocoder's model.
    """

    variant: str = "int8"
    device: Literal["cpu", "gpu"] = "cpu"
    speech: SpeechModelConfig = SpeechModelConfig()
    vocoder: VocoderModelConfig = VocoderModelConfig()
