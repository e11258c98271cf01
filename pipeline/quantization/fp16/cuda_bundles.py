"""Bundles whose every node has a CUDA kernel.

ONNX Runtime's CUDA provider has GroupQueryAttention for FP16 and BF16 only (seen in the kernels of
onnxruntime-gpu 1.31.1).  A bundle with FP32 attention would run it on the CPU and copy the cache
there and back in every layer of every step.  So for CUDA attention and cache become FP16: alone,
where the rest is to stay as it is, or together with all else (FP16 activations are also what the
provider's MatMulNBits is fastest with).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from chattts_onnx.format.manifest import Manifest, ModelInfo
from pipeline.bundles import derive_bundle
from pipeline.core.atomic import output_directory
from pipeline.core.errors import QuantizationError
from pipeline.graphs.edit import add_constant
from pipeline.graphs.files import load_graph, save_graph
from pipeline.graphs.probe import Feeds, element_types
from pipeline.quantization.config import Fp16Config
from pipeline.quantization.fp16.convert import convert, prepare
from pipeline.quantization.fp16.graph import convert_graph

ATTENTION = "GroupQueryAttention"
Batches = Callable[[str, ModelInfo], Iterable[Feeds]]


def half_attention(source: Path, destination: Path) -> int:
    """Write ``destination``: the FP32 graph ``source`` with attention and cache in FP16.

    Returns how many attention nodes there are.

    Raises:
        QuantizationError: there is none.
    """
    types = element_types(source)
    model = load_graph(source)
    _check_cache(source, model)
    prepare(model)
    attention = [node for node in model.graph if node.op_type == ATTENTION]
    if not attention:
        raise QuantizationError(
            f"{source}: found no {ATTENTION}, expected a fused GPT graph; run the fuse stage"
        )
    kept = {node.name or "" for node in model.graph if node.op_type != ATTENTION}
    save_graph(convert(model, types, kept), destination)
    return len(attention)


def float_biases(model: ir.Model) -> int:
    """Give each layer with an INT32 bias the floats that it stands for; returns how many there are.

    The CUDA provider has no DequantizeLinear for INT32: each would run on the CPU at every call,
    with a copy to the device.  Products are in floating point there anyway.
    """
    found = [node for node in model.graph if _is_integer_bias(node)]
    for node in found:
        integers, scale = (_constant_input(node, index) for index in range(2))
        name = node.outputs[0].name or ""
        floats = add_constant(model.graph, f"{name}/float", (integers * scale).astype(np.float32))
        ir.convenience.replace_all_uses_with(node.outputs[0], floats)
        model.graph.remove(node, safe=True)
    ir.passes.common.RemoveUnusedNodesPass()(model)
    return len(found)


def _is_integer_bias(node: ir.Node) -> bool:
    """Whether the node dequantizes a constant INT32 tensor of one axis, which has no zero point."""
    integers = node.inputs[0] if node.op_type == "DequantizeLinear" else None
    tensor = None if integers is None else integers.const_value
    if tensor is None or tensor.dtype != ir.DataType.INT32:
        return False
    zero = len(node.inputs) < 3 or not _constant_input(node, 2).any()
    return zero and len(tensor.shape) == 1


def _constant_input(node: ir.Node, index: int) -> np.ndarray:
    value = node.inputs[index]
    assert value is not None and value.const_value is not None
    return value.const_value.numpy()


def attention_bundle(source: Path, destination: Path, variant: str) -> Manifest:
    """The bundle ``source`` with FP16 attention and cache, float biases, and all else as it is."""
    manifest = Manifest.load(source, verify=False)
    with output_directory(destination) as folder:
        half_attention(source / manifest.graph("gpt").file, folder / manifest.graph("gpt").file)
        for name, graph in manifest.graphs.items():
            if name != "gpt" and float_biases(model := load_graph(source / graph.file)):
                save_graph(model, folder / graph.file)
        return derive_bundle(source, folder, variant, model=_half_cache(manifest.model))


def half_bundle(
    source: Path, destination: Path, variant: str, config: Fp16Config, batches: Batches
) -> Manifest:
    """The bundle ``source`` (weights as integers, all else FP32) with FP16 for FP32.

    ``batches`` gives real inputs of a graph: they decide which nodes stay FP32.

    Raises:
        QuantizationError: an activation does not fit, or an output is not finite.
    """
    manifest = Manifest.load(source, verify=False)
    with output_directory(destination) as folder:
        for name, graph in manifest.graphs.items():
            feeds = list(batches(name, manifest.model))
            _check_cache(source / graph.file, load_graph(source / graph.file))
            convert_graph(source / graph.file, feeds, config, folder / graph.file)
        return derive_bundle(source, folder, variant, model=_half_cache(manifest.model))


def _check_cache(source: Path, model: ir.Model) -> None:
    found = {v.dtype for v in model.graph.inputs if (v.name or "").startswith("past_key_values.")}
    if ir.DataType.INT8 in found:
        raise QuantizationError(
            f"{source}: found INT8 keys and values, expected FP32 ones to make FP16 of; build the "
            "bundle with precision.<variant>.cache.bits=null"
        )


def _half_cache(model: ModelInfo) -> ModelInfo:
    return replace(model, kv_dtype="float16")
