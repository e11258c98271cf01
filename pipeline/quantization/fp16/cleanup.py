"""Setting right what the FP16 converter leaves behind: casts, dangling values, weights."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

from pipeline.core.errors import QuantizationError
from pipeline.quantization.fp16.ranges import FP16_MAX


def collapse_casts(model: ir.Model) -> None:
    """Remove FP32→FP16→FP32 round trips, repeated casts, identities and dead nodes, in place.

    A round trip between two nodes that stay FP32 would cut the very range they were kept for.
    """
    passes.IdentityEliminationPass()(model)
    for node in list(model.graph):
        if _cast_target(node) != ir.DataType.FLOAT:
            continue
        source = node.inputs[0]
        producer = source.producer() if source is not None else None
        if producer is None or _cast_target(producer) != ir.DataType.FLOAT16:
            continue
        original = producer.inputs[0]
        if original is not None and original.dtype == ir.DataType.FLOAT:
            _bypass(model.graph, node, original)
    passes.RemoveUnusedNodesPass()(model)
    passes.CommonSubexpressionEliminationPass()(model)
    passes.IdentityEliminationPass()(model)
    passes.RemoveUnusedNodesPass()(model)
    passes.NameFixPass()(model)


def _cast_target(node: ir.Node) -> ir.DataType | None:
    if node.op_type != "Cast" or node.domain not in ("", "ai.onnx"):
        return None
    return ir.DataType(node.attributes.get_int("to"))


def _bypass(graph: ir.Graph, cast: ir.Node, original: ir.Value) -> None:
    """Let readers of ``cast`` read ``original``."""
    result = cast.outputs[0]
    if not any(output is result for output in graph.outputs):
        result.replace_all_uses_with(original)
        return
    producer = original.producer()
    if producer is None or any(output is original for output in graph.outputs):
        return  # an output needs a node of its own
    name = result.name
    result.name, original.name = f"{name}/cast", name
    original.shape = result.shape
    result.replace_all_uses_with(original, replace_graph_outputs=True)


def restore_weights(graph: ir.Graph, weights: Mapping[str, Any]) -> None:
    """Point every initializer at its FP32 source, converted when it is written.

    The converter only changed the declared type; plain rounding replaces its clamping.
    """
    for name, value in graph.initializers.items():
        source = weights[name]
        converted = value.const_value
        narrowed = converted is not None and converted.dtype == ir.DataType.FLOAT16
        if source.dtype == ir.DataType.FLOAT and narrowed:
            source = ir.LazyTensor(
                partial(_half, source, name), ir.DataType.FLOAT16, source.shape, name=name
            )
        value.const_value = source
        value.type = ir.TensorType(source.dtype)


def _half(source: Any, name: str) -> ir.Tensor[Any]:
    array = source.numpy()
    largest = float(np.abs(array).max(initial=0.0))
    if largest > FP16_MAX:
        raise QuantizationError(
            f"weight '{name}': found magnitude {largest:.4g}, expected at most {FP16_MAX}; "
            "name its node in precision.fp16.keep_names"
        )
    return ir.Tensor(array.astype(np.float16), name=name)
