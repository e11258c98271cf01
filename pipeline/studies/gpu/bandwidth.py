"""The floor of a step: bytes it has to read over the bandwidth that a copy reaches."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from chattts_onnx.format.manifest import Manifest
from pipeline.report.rows import Row, make_row
from pipeline.studies.gpu.setup import Setup

MULTIPLIED = ("MatMul", "MatMulNBits", "DequantizeLinear", "Gemm")
"""Operators whose constant inputs a step reads whole; embedding tables it only gathers from."""


def step_bytes(bundle: Path, batch: int, length: int) -> int:
    """Bytes that one step must read: weights once, keys and values of every row once."""
    model = Manifest.load(bundle, verify=False).model
    token = 2 * model.num_hidden_layers * model.num_key_value_heads * model.head_dim
    cache = token * np.dtype(model.kv_dtype).itemsize * length * batch
    return weight_bytes(bundle / "gpt.onnx") + cache


def weight_bytes(path: Path) -> int:
    """Bytes of the constants that matrix products of a graph read."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    sizes = {
        tensor.name: math.prod(tensor.dims)
        * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        for tensor in graph.initializer
    }
    read = {
        name
        for node in graph.node
        if node.op_type in MULTIPLIED
        for name in node.input
        if name in sizes
    }
    return sum(sizes[name] for name in read)


def bandwidth(setup: Setup) -> Iterator[Row]:
    """GB/s of a large copy on the device, bytes read and bytes written both counted."""
    import torch

    count = setup.size.copy_bytes // 4
    source = torch.rand(count, device=setup.device)
    target = torch.empty_like(source)
    times = [_copy(source, target) for _ in range(3 + setup.size.repeats)][3:]
    rate = 2 * setup.size.copy_bytes / median(times) / 1e9
    yield make_row("machine", "copy_bandwidth", rate, "GB/s", bytes=setup.size.copy_bytes)


def _copy(source: object, target: object) -> float:
    import torch

    assert isinstance(source, torch.Tensor) and isinstance(target, torch.Tensor)
    if source.is_cuda:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        target.copy_(source)
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3
    started = time.perf_counter()
    target.copy_(source)
    return time.perf_counter() - started
