"""MatMul with a constant weight -> ``com.microsoft::MatMulNBits``, on the CPU and on CUDA alike."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from pipeline.graphs.edit import add_constant
from pipeline.graphs.layers import Layer
from pipeline.quantization.weight_only.blocks import Array, BlockWeight

DOMAIN = "com.microsoft"
OP_TYPE = "MatMulNBits"


def replace_matmul(
    model: ir.Model, layer: Layer, weight: BlockWeight, accuracy_level: int
) -> ir.Node:
    """Let ``layer`` multiply by ``weight`` [N, K]; the float weight goes when nothing reads it.

    Args:
        model: the graph to change.
        layer: a MatMul whose weight [K, N] ``weight`` replaces.
        weight: its quantized form.
        accuracy_level: 4 rounds activations to INT8, a scale a block, and multiplies integers;
            0 or 1 multiply floats.  The CUDA provider ignores it.
    """
    graph, node, layout = model.graph, layer.node, weight.format
    float_weight = layer.weight
    name = float_weight.name or ""
    inputs = [
        layer.activation,
        add_constant(graph, f"{name}/blocks", weight.packed()),
        _scales(model, node, f"{name}/scales", weight.scales),
    ]
    if not layout.symmetric:
        zero_points = weight.packed_zero_points()
        inputs.append(add_constant(graph, f"{name}/zero_points", zero_points))
    outputs, width = weight.integers.shape
    replacement = ir.node(
        OP_TYPE,
        inputs,
        domain=DOMAIN,
        attributes={
            "K": width,
            "N": outputs,
            "bits": layout.bits,
            "block_size": layout.block_size,
            "accuracy_level": accuracy_level,
        },
        name=node.name,
    )
    old, new = node.outputs[0], replacement.outputs[0]
    new.name, new.shape, new.type = old.name, old.shape, old.type
    graph.insert_after(node, replacement)
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    if not float_weight.uses():
        del graph.initializers[name]
    model.opset_imports.setdefault(DOMAIN, 1)
    return replacement


def _scales(model: ir.Model, node: ir.Node, name: str, scales: Array) -> ir.Value:
    """Scales [N, B], stored in 16 bits behind a Cast where those are the same numbers."""
    with np.errstate(over="ignore"):
        narrow = scales.astype(np.float16)
    if not (narrow == scales).all():
        return add_constant(model.graph, name, scales)
    stored = add_constant(model.graph, name, narrow)
    for use in stored.uses():
        return use.node.outputs[0]
    cast = ir.node("Cast", [stored], attributes={"to": ir.DataType.FLOAT}, name=f"{name}/cast")
    cast.outputs[0].name = f"{name}/float"
    cast.outputs[0].dtype, cast.outputs[0].shape = ir.DataType.FLOAT, stored.shape
    model.graph.insert_before(node, cast)
    return cast.outputs[0]
