"""What rounding weights takes from a layer's outputs on average is added back.

Nagel et al. 2019, arXiv:1906.04721, section 4.2: the mean error of an output is E[x]·(W - W'), with
E[x] from calibration.  It goes where a bias is read already; only where there is none, a node is
inserted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from pipeline.graphs.edit import add_constant, insert_behind
from pipeline.graphs.layers import Layer

Array = NDArray[Any]

SKIP_NORM, SKIP_NORM_BIAS = "SkipSimplifiedLayerNormalization", 3


def mean_error(layer: Layer, weight: Array, rounded: Array, mean: Array) -> Array:
    """What each output lacks on average, float32 [N].

    Args:
        layer: a MatMul, Gemm or Conv.
        weight: its weights.
        rounded: what the integers stand for, of the same shape.
        mean: of each input channel, [C].
    """
    lost = (weight - rounded).astype(np.float64)
    if layer.node.op_type == "Conv":
        outputs, inputs = lost.shape[:2]
        groups = len(mean) // inputs
        # output o belongs to group o // (outputs / groups) and reads that group's channels only
        read = np.repeat(mean.reshape(groups, inputs), outputs // groups, axis=0)
        result: Array = np.einsum("oi,oi->o", lost.reshape(outputs, inputs, -1).sum(-1), read)
    elif layer.channel_axis == 0:
        result = lost @ mean
    else:
        result = mean @ lost
    return result.astype(np.float32)


def add_to_output(graph: ir.Graph, layer: Layer, correction: Array) -> bool:
    """Add ``correction`` [N] to what ``layer`` writes; True where that took a node of its own."""
    node = layer.node
    if node.op_type in ("Conv", "Gemm"):
        _add_constant(graph, node, 2, correction, node.name or "")
        return False
    uses = list(node.outputs[0].uses())
    is_output = any(output is node.outputs[0] for output in graph.outputs)
    if len(uses) == 1 and not is_output:
        reader = uses[0].node
        if reader.op_type == "Add" and _is_vector(reader.inputs[1 - uses[0].idx], len(correction)):
            _add_constant(graph, reader, 1 - uses[0].idx, correction, node.name or "")
            return False
        if reader.op_type == SKIP_NORM and uses[0].idx < 2:
            _add_constant(graph, reader, SKIP_NORM_BIAS, correction, node.name or "")
            return False
    _append(graph, node, correction)
    return True


def _is_vector(value: ir.Value | None, length: int) -> bool:
    if value is None or not value.is_initializer() or value.const_value is None:
        return False
    return tuple(value.const_value.shape.numpy()) == (length,)


def _add_constant(
    graph: ir.Graph, node: ir.Node, index: int, correction: Array, label: str
) -> None:
    old = node.inputs[index] if len(node.inputs) > index else None
    total = correction
    if old is not None:
        assert old.const_value is not None
        total = old.const_value.numpy() + correction
    new = add_constant(graph, f"{label}/corrected_bias", total.astype(np.float32))
    if len(node.inputs) <= index:
        node.resize_inputs(index + 1)
    node.replace_input_with(index, new)
    if old is not None and old.name is not None and not old.uses():
        del graph.initializers[old.name]


def _append(graph: ir.Graph, node: ir.Node, correction: Array) -> None:
    # as a Sub: ONNX Runtime makes a float Gemm of a MatMul and an Add behind it
    surplus = add_constant(graph, f"{node.name}/surplus", -correction)
    correct = ir.node("Sub", [node.outputs[0], surplus], name=f"{node.name}/correct")
    insert_behind(graph, node, correct)
