"""Opening bundles on a device in one of the ways that a step can run there, and its memory."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chattts_onnx import Bundle, open_bundle
from chattts_onnx.decoding.device import DecoderPool
from chattts_onnx.decoding.device_step import open_step_session
from chattts_onnx.errors import ChatTTSError
from chattts_onnx.format.manifest import Manifest
from chattts_onnx.graphs.sessions import (
    CPU,
    CUDA,
    SessionConfig,
    choose_providers,
    choose_threads,
)
from pipeline.core.errors import BenchmarkError
from pipeline.core.process import run

HOST, DEVICE, GRAPH = "host", "device", "graph"
"""A step's scores are sampled on the CPU; it samples on the device; it is one CUDA graph there."""
SAMPLED_THERE = (DEVICE, GRAPH)


def providers(device: str, mode: str = DEVICE, **options: str) -> list[tuple[str, dict[str, Any]]]:
    """Execution providers of a device; ``options`` go to the CUDA provider."""
    if device != "cuda":
        return [(CPU, {})]
    graph = {"enable_cuda_graph": "1"} if mode == GRAPH else {}
    # PyTorch multiplies FP32 in full precision unless asked otherwise; so do the bundles here.
    return [(CUDA, {"use_tf32": "0", **graph, **options}), (CPU, {})]


def open_on(
    folder: Path,
    device: str,
    mode: str = DEVICE,
    threads: int | None = None,
    session_config: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> Bundle:
    """A bundle on a device; ``options`` go to the CUDA provider."""
    return open_bundle(
        folder,
        providers(device, mode, **(options or {})),
        threads=threads,
        verify=False,
        record_assignment=True,
        session_config=session_config,
        device_sampling=mode != HOST,
    )


def step_pool(folder: Path, device: str, mode: str) -> DecoderPool:
    """A pool over the graph with its sampler, on any device."""
    manifest = Manifest.load(folder, verify=False)
    config = SessionConfig(choose_providers(providers(device, mode)), choose_threads(None))
    session = open_step_session(folder / manifest.graph("gpt").file, manifest.model, config)
    place = (config.device, config.device_id)
    return DecoderPool(session, manifest.model, place, mode == GRAPH)


def used_memory(device: str) -> int | None:
    """Bytes of the GPU's memory in use by anyone, None where that is not known."""
    text = gpu_fact("memory.used") if device == "cuda" else ""
    return int(text) << 20 if text else None


def gpu_fact(query: str) -> str:
    """What ``nvidia-smi`` says of the first GPU; empty where it says nothing."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, f"--query-gpu={query}", "--format=csv,noheader,nounits"]
    try:
        said = run(command, "nvidia-smi", BenchmarkError, limit=20)
    except (ChatTTSError, OSError):
        return ""
    return next(iter(said.strip().splitlines()), "")
