"""The limit that memory sets: a decode step at batch 1 reads every weight once."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import torch

from chattts_onnx.format.manifest import ModelInfo

REPEATS = 7
# gathered row by row, not read whole; and the rotary tables
NOT_STREAMED = ("embed.", "cos", "sin")

KINDS = {
    **dict.fromkeys(("blocks", "quantized"), "integers"),
    **dict.fromkeys(("scales", "scale"), "scales"),
    **dict.fromkeys(("zero_points", "zero_point"), "zero points"),
}
"""What a quantized weight's tensors are called behind its name."""


def read_bandwidth(threads: int, size_bytes: int = 2**30) -> float:
    """Measure how many bytes a second ``threads`` threads read from memory: the best of a few.

    A sum reads each value once and does next to nothing with it.  The best run is the limit;
    slower ones say what else the machine was doing.
    """
    previous = torch.get_num_threads()
    torch.set_num_threads(threads)
    values = torch.ones(size_bytes // 4)
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        values.sum()
        seconds.append(time.perf_counter() - started)
    torch.set_num_threads(previous)
    return size_bytes / min(seconds)


def copy_rate(device: str, size_bytes: int) -> float:
    """Bytes a second of a copy on a device, those read and those written: the best of a few."""
    source = torch.rand(size_bytes // 4, device=device)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(REPEATS + 1):
        if source.is_cuda:
            torch.cuda.synchronize()
        started = time.perf_counter()
        target.copy_(source)
        if source.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return 2 * size_bytes / min(seconds)


def step_bytes(graph: Path) -> int:
    """Bytes of weights that one step of the GPT graph at ``graph`` reads, embeddings left out."""
    return sum(step_parts(graph).values())


def step_parts(graph: Path) -> dict[str, int]:
    """The same by what they are: ``integers``, ``scales``, ``zero points`` and ``floats``."""
    parts = dict.fromkeys(("integers", "scales", "zero points", "floats"), 0)
    for tensor in onnx.load(graph, load_external_data=False).graph.initializer:
        if not tensor.name.startswith(NOT_STREAMED):
            kind = tensor.name.rpartition("/")[2]
            parts[KINDS.get(kind, "floats")] += _size(tensor)
    return parts


def cache_bytes(model: ModelInfo, batch: int, length: int) -> int:
    """Bytes of keys and values that one step of ``batch`` rows reads at ``length`` positions."""
    token = 2 * model.num_hidden_layers * model.num_key_value_heads * model.head_dim
    return token * np.dtype(model.kv_dtype).itemsize * length * batch


def _size(tensor: onnx.TensorProto) -> int:
    if tensor.data_type in (onnx.TensorProto.INT4, onnx.TensorProto.UINT4):
        return (int(np.prod(tensor.dims)) + 1) // 2
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    return int(np.prod(tensor.dims)) * dtype.itemsize
