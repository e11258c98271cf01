"""FP32 to FP16 by ``onnxconverter_common.float16``, with what it gets wrong set right.

The converter works on the graph's structure only: weights stay on disk and are converted one by
one while the result is written.  What is prepared for it and cleaned after it:

- It names its Casts after nodes, so nodes need unique names.
- It leaves ``Cast(to=FLOAT)`` as it is although it declares the result FP16.
- A weight read by a node that stays FP32 stays FP32 for all its readers: each gets its own.
- A graph output that is also read inside, or written by a node that stays FP32, ends up with the
  wrong type or dangling: every output gets an Identity in between.
- It needs the type of every activation and knows ONNX's own operators only.
- It casts down and up again between two nodes that stay FP32, which loses range silently.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common as passes
from onnxconverter_common import float16

from pipeline.quantization.fp16.cleanup import collapse_casts, restore_weights

CACHE_PREFIXES = ("past_key_values.", "present.")


def prepare(model: ir.Model) -> None:
    """Give nodes unique names, lift constants to initializers, widen FP16 weights, in place."""
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    _widen_weights(model.graph)
    seen: set[str] = set()
    for index, node in enumerate(model.graph):
        name = node.name or f"{node.op_type}_{index}"
        while name in seen:
            name = f"{name}_{index}"
        node.name = name
        seen.add(name)


def _widen_weights(graph: ir.Graph) -> None:
    """Weights that are stored in FP16 behind a Cast become FP32, as the converter expects them."""
    for node in list(graph):
        weight = node.inputs[0] if node.op_type == "Cast" else None
        if weight is None or weight.const_value is None or weight.dtype != ir.DataType.FLOAT16:
            continue
        weight.const_value = ir.tensor(weight.const_value.numpy().astype(np.float32))
        weight.const_value.name, weight.dtype = weight.name, ir.DataType.FLOAT
        node.outputs[0].replace_all_uses_with(weight)
        graph.remove(node, safe=True)


def convert(model: ir.Model, types: Mapping[str, ir.DataType], kept: Collection[str]) -> ir.Model:
    """The FP16 form of ``model``; its weights are converted when it is saved.

    Public inputs and outputs stay FP32, the key/value cache becomes FP16.

    Args:
        model: FP32, from :func:`prepare`; it is changed and must not be used again.
        types: element type of every activation.
        kept: names of nodes that stay FP32.
    """
    graph = model.graph
    _separate_weights(graph, kept)
    _retarget_casts(graph, kept)
    _isolate_outputs(graph)
    weights = {name: value.const_value for name, value in graph.initializers.items()}
    for value in (*graph.inputs, *graph.outputs):
        if (value.name or "").startswith(CACHE_PREFIXES) and value.dtype == ir.DataType.FLOAT:
            value.dtype = ir.DataType.FLOAT16
    proto = ir.serde.serialize_model(model)
    _declare_types(proto, types)
    converted = float16.convert_float_to_float16(
        proto,
        min_positive_val=0.0,
        max_finite_val=65504.0,
        keep_io_types=True,
        disable_shape_infer=True,
        op_block_list=[],
        node_block_list=list(kept),
        check_fp16_ready=False,
    )
    result = ir.serde.deserialize_model(converted)
    restore_weights(result.graph, weights)
    collapse_casts(result)
    return result


def _separate_weights(graph: ir.Graph, kept: Collection[str]) -> None:
    """Give nodes that stay FP32 weights of their own where others read the same."""
    for name, value in list(graph.initializers.items()):
        inside = [use for use in value.uses() if use.node.name in kept]
        if not inside or len(inside) == len(value.uses()):
            continue
        copy = ir.Value(
            name=f"{name}/fp32", const_value=value.const_value, type=value.type, shape=value.shape
        )
        graph.initializers[copy.name or ""] = copy
        for use in inside:
            use.node.replace_input_with(use.idx, copy)


def _retarget_casts(graph: ir.Graph, kept: Collection[str]) -> None:
    for node in graph:
        if node.op_type != "Cast" or node.name in kept:
            continue
        if node.attributes.get_int("to") == int(ir.DataType.FLOAT):
            node.attributes["to"] = ir.AttrInt64("to", int(ir.DataType.FLOAT16))


def _isolate_outputs(graph: ir.Graph) -> None:
    """Put an Identity before each float output that is not part of the cache."""
    for index, value in enumerate(list(graph.outputs)):
        name = value.name or ""
        if value.dtype != ir.DataType.FLOAT or name.startswith(CACHE_PREFIXES):
            continue
        identity = ir.node("Identity", [value], name=f"{name}/output")
        output = identity.outputs[0]
        output.dtype, output.shape = value.dtype, value.shape
        value.name, output.name = f"{name}/inner", name
        graph.append(identity)
        graph.outputs[index] = output


def _declare_types(proto: Any, types: Mapping[str, ir.DataType]) -> None:
    """Replace the graph's list of activations by one that holds the type of each."""
    outputs = {value.name for value in proto.graph.output}
    shapes = {value.name: value for value in proto.graph.value_info}
    declared = []
    for node in proto.graph.node:
        for name in node.output:
            known = name.removesuffix("/inner")
            if not name or name in outputs or known not in types:
                continue
            info = shapes.get(name, onnx.ValueInfoProto(name=name))
            info.type.tensor_type.elem_type = int(types[known])
            declared.append(onnx.ValueInfoProto.FromString(info.SerializeToString()))
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(declared)
