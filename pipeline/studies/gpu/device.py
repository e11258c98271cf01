"""What the machine is, sessions over models made here, and what ONNX Runtime says."""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime as ort

from chattts_onnx.graphs.sessions import create_session
from pipeline.benchmark.device import gpu_fact, providers


def open_model(device: str, name: str, model: bytes, **options: str) -> ort.InferenceSession:
    """A session over an encoded model; raises where the device cannot be used."""
    asked = providers(device, **options)
    return create_session(Path(name), model, asked, ort.SessionOptions())


def describe(device: str) -> dict[str, Any]:
    """The GPU, its driver, the libraries and the date."""
    names = ("name", "driver_version", "memory.total", "clocks.max.sm", "compute_cap")
    found: dict[str, Any] = {"date": datetime.date.today().isoformat(), "device": device}
    if device == "cpu":
        found["rehearsal"] = "on the CPU provider: the figures say nothing about a GPU"
        return found
    for name in names:
        if text := gpu_fact(name):
            found[f"gpu_{name}".replace(".", "_")] = text
    return found


@contextmanager
def captured_log() -> Iterator[list[str]]:
    """What ONNX Runtime writes to stderr inside the block, as lines, once it has ended."""
    lines: list[str] = []
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            lines += file.read().decode("utf-8", "replace").splitlines()
