"""Opening bundles on the device, its memory, and what the machine is."""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime as ort

from chattts_onnx import Bundle, open_bundle
from chattts_onnx.graphs.sessions import CPU, CUDA, create_session
from pipeline.studies.gpu.setup import Setup

MODES = ("graph", "device", "host")
"""How a step runs: sampled on the device and replayed as a CUDA graph, sampled there, or not."""


def open_on(setup: Setup, variant: str, mode: str = "device", **options: str) -> Bundle:
    """The bundle on the setup's device; ``options`` go to the CUDA provider."""
    if mode == "graph":
        options = {**options, "enable_cuda_graph": "1"}
    return open_bundle(
        setup.bundle(variant),
        providers(setup, **options),
        verify=False,
        record_assignment=True,
        device_sampling=mode != "host",
    )


def open_model(setup: Setup, name: str, model: bytes, **options: str) -> ort.InferenceSession:
    """A session over an encoded model; raises where the device cannot be used."""
    return create_session(Path(name), model, providers(setup, **options), ort.SessionOptions())


def providers(setup: Setup, **options: str) -> list[tuple[str, dict[str, Any]]]:
    """Execution providers of the setup's device."""
    # PyTorch multiplies FP32 in full precision unless asked otherwise; so do the bundles here.
    options = {"use_tf32": "0", **options}
    return [(CUDA, dict(options)), (CPU, {})] if setup.device == "cuda" else [(CPU, {})]


def used_memory(setup: Setup) -> int | None:
    """Bytes of the GPU's memory in use by anyone, None where that is not known."""
    if setup.device != "cuda":
        return None
    text = _nvidia_smi("memory.used")
    return int(text.splitlines()[0]) << 20 if text else None


def describe(setup: Setup) -> dict[str, Any]:
    """The GPU, its driver, the libraries and the date."""
    names = ("name", "driver_version", "memory.total", "clocks.max.sm", "compute_cap")
    found: dict[str, Any] = {"date": datetime.date.today().isoformat(), "device": setup.device}
    if setup.device == "cpu":
        found["rehearsal"] = "on the CPU provider: the figures say nothing about a GPU"
        return found
    for name in names:
        if text := _nvidia_smi(name):
            found[f"gpu_{name}".replace(".", "_")] = text.splitlines()[0]
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


def graph_file(setup: Setup, variant: str, graph: str) -> Path:
    """Path of a bundle's graph."""
    return setup.bundle(variant) / f"{graph}.onnx"


def _nvidia_smi(query: str) -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, f"--query-gpu={query}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
