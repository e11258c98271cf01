"""Wave files to listen to while training goes on."""

from __future__ import annotations

from pathlib import Path

from chattts_onnx.audio.wav import write_wav
from mini.speech import SAMPLE_RATE, Audio


def write_sample(work: Path, name: str, audio: Audio) -> Path:
    """Write ``audio`` [samples] to ``<work>/samples/<name>.wav`` and return the path."""
    path = work / "samples" / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, audio, SAMPLE_RATE)
    return path
