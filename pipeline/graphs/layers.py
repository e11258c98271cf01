"""Which nodes can be quantized, and what stays float and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from pipeline.graphs.files import matching_pattern


@dataclass(frozen=True)
class Layer:
    """A MatMul, Gemm or Conv with constant weights.

    Attributes:
        node: the node; input 0 is the activation, input 1 the weight.
        channel_axis: the weight's axis of output channels, each of which gets a scale.
        bias: index of the bias among the inputs, or None.
    """

    node: ir.Node
    channel_axis: int
    bias: int | None

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name or ""

    @property
    def activation(self) -> ir.Value:
        """The float activation that is quantized."""
        value = self.node.inputs[0]
        assert value is not None
        return value

    @property
    def weight(self) -> ir.Value:
        """The constant weight."""
        value = self.node.inputs[1]
        assert value is not None
        return value


@dataclass(frozen=True)
class Exclusion:
    """A node that stays float."""

    node: str
    op_type: str
    reason: str


def find_layers(
    graph: ir.Graph, op_types: Sequence[str], exclude_names: Sequence[str], name: str = ""
) -> tuple[list[Layer], list[Exclusion]]:
    """Quantizable nodes of ``graph``, and the MatMul, Gemm and Conv nodes that stay float.

    ``name`` is the graph's name in its bundle, with which patterns may begin.
    """
    layers: list[Layer] = []
    excluded: list[Exclusion] = []
    for node in graph:
        if node.domain not in ("", "ai.onnx") or node.op_type not in ("MatMul", "Gemm", "Conv"):
            continue
        reason = _obstacle(node, op_types, exclude_names, name)
        if reason is None:
            layers.append(_describe(node))
        else:
            excluded.append(Exclusion(node.name or "", node.op_type, reason))
    return layers, excluded


def _obstacle(
    node: ir.Node, op_types: Sequence[str], exclude_names: Sequence[str], graph: str
) -> str | None:
    if node.op_type not in op_types:
        return f"{node.op_type} is not among op_types"
    pattern = matching_pattern(node, exclude_names, graph)
    if pattern is not None:
        return f"matches exclude_names {pattern!r}"
    activation, weight = node.inputs[0], node.inputs[1]
    if weight is None or not weight.is_initializer() or weight.const_value is None:
        return "its weight is not constant"
    if activation is None or activation.is_initializer():
        return "its activation is constant"
    if weight.const_value.dtype != ir.DataType.FLOAT:
        return f"its weight is {weight.const_value.dtype.name}"
    if node.op_type == "MatMul" and len(weight.const_value.shape) != 2:
        return "its weight is not a matrix"
    if node.op_type == "Gemm" and not _plain_gemm(node):
        return "alpha or beta is not 1, or the activation is transposed"
    return None


def _plain_gemm(node: ir.Node) -> bool:
    scale = [node.attributes.get_float(key, 1.0) for key in ("alpha", "beta")]
    return scale == [1.0, 1.0] and not node.attributes.get_int("transA", 0)


def _describe(node: ir.Node) -> Layer:
    has_bias = len(node.inputs) > 2 and node.inputs[2] is not None
    if node.op_type == "MatMul":
        axis = 1
    elif node.op_type == "Gemm":
        axis = 0 if node.attributes.get_int("transB", 0) else 1
    else:
        axis = 0
    return Layer(node, axis, 2 if has_bias else None)
