"""Bundles made on the machine that checks them: they are too large to travel."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import onnxruntime as ort

from chattts_onnx.format.manifest import ModelInfo
from pipeline.config import Params
from pipeline.core.tools import installed_version
from pipeline.graphs.probe import Feeds
from pipeline.report.rows import Row, make_row
from pipeline.studies.gpu.setup import Setup
from pipeline.workspace import REPOSITORY

SOURCES = {"fp32_cuda": "fp32", "int8_cuda": "int8", "w8_fp16": "w8", "w4_fp16": "w4"}
"""Variants made for CUDA, and what they are made from."""

# Enough to find what does not fit FP16 and how far activations reach; learning from data (GPTQ)
# would take longer than all measurements.
OVERRIDES = (
    "precision.fp16.recording.samples=2",
    "precision.fp16.recording.max_new_tokens=32",
    "calibration.recording.samples=2",
    "calibration.recording.max_new_tokens=32",
    "precision.w4.algorithm=rtn",
    "precision.w8.algorithm=rtn",
    "export.parity_cases=1",
)

# The bundles for CUDA are made from these and keep an FP16 cache.
FLOAT_CACHE = tuple(f"precision.{name}.cache.bits=null" for name in ("int8", "w8", "w4"))


def load_params(setup: Setup) -> Params:
    """Parameters of the checkpoint with the versions that are installed."""
    from pipeline.core.strict import parse_strictly
    from pipeline.params import compose_params

    chosen = (
        ["experiment=smoke"]
        if setup.checkpoint == "smoke"
        else [f"checkpoint={setup.checkpoint}", *OVERRIDES]
    )
    params = parse_strictly(compose_params([*chosen, *FLOAT_CACHE]), Params)
    tools = {name: installed_version(name) or "absent" for name in params.tools}
    return replace(params, tools={**tools, "onnxruntime": ort.__version__})


def prepare(setup: Setup) -> None:
    """Make the workspace's folder."""
    setup.workspace.mkdir(parents=True, exist_ok=True)
    data = setup.workspace / "calibration_data"
    if not data.exists():
        shutil.copytree(REPOSITORY / "calibration_data", data)


def build(setup: Setup, variant: str) -> Iterator[Row]:
    """Make ``bundles/<variant>`` and what comes before it; what is there stays."""
    prepare(setup)
    if not setup.bundle(variant).exists():
        _steps(setup, variant)
    size = sum(path.stat().st_size for path in setup.bundle(variant).rglob("*"))
    yield make_row(variant, "bundle_bytes", size, "B", checkpoint=setup.checkpoint)


def _steps(setup: Setup, variant: str) -> None:
    if variant in SOURCES:
        _cuda_form(setup, variant)
        return
    for stage in _stages(setup, variant):
        stage(load_params(setup), setup.workspace)


def _stages(setup: Setup, variant: str) -> list[Callable[[Params, Path], None]]:
    from pipeline.stages import calibrate, checkpoint, export, fuse, quantize

    if variant == "fp32":
        return [checkpoint.run, export.run, fuse.run, calibrate.run]
    return [partial(quantize.run, variant=variant)]


def _cuda_form(setup: Setup, variant: str) -> None:
    from pipeline.quantization.calibration.recorder import record
    from pipeline.quantization.calibration.recording import graph_feeds
    from pipeline.quantization.fp16.cuda_bundles import attention_bundle, half_bundle

    source, destination = setup.bundle(SOURCES[variant]), setup.bundle(variant)
    if variant.endswith("_cuda"):
        attention_bundle(source, destination, variant)
        return
    config = load_params(setup).precision.fp16
    spoken = list(record(setup.bundle("fp32"), setup.workspace, config.recording, setup.seed))

    def batches(name: str, model: ModelInfo) -> Iterable[Feeds]:
        return (feeds for item in spoken for feeds in graph_feeds(name, model, item))

    half_bundle(source, destination, variant, config, batches)


def copy_bandwidth(setup: Setup) -> Iterator[Row]:
    """GB/s of a large copy on the device: what bounds a step that has to read its weights."""
    from pipeline.benchmark.bandwidth import copy_rate

    count = setup.size.copy_bytes
    yield make_row("machine", "copy_bandwidth", copy_rate(setup.device, count) / 1e9, "GB/s")
