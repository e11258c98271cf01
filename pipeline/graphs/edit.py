"""What whatever rewrites a graph has in common: its shape, and its tools.

A rewriter is a function ``(model, context) -> Change`` that works in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from pipeline.checkpoint.dims import CheckpointDims

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Context:
    """Which graph is rewritten, and the sizes of its checkpoint."""

    graph: str
    dims: CheckpointDims


@dataclass(frozen=True)
class Change:
    """What became of a graph.

    Attributes:
        count: how many places were rewritten.
        channels: of what a node reads those that were out of proportion, the worst first.
    """

    count: int
    channels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


Rewriter = Callable[[ir.Model, Context], Change]


def constant(node: ir.Node, index: int) -> ir.TensorProtocol | None:
    """The initializer that a node reads at ``index``, None where it reads something else."""
    value = node.inputs[index] if len(node.inputs) > index else None
    return value.const_value if value is not None and value.is_initializer() else None


def replace_constant(graph: ir.Graph, node: ir.Node, index: int, array: NDArray[Any]) -> None:
    """Give ``node`` a constant of its own, under the old name if nobody else reads that."""
    old = node.inputs[index]
    assert old is not None and old.name is not None
    name = old.name
    tensor = ir.tensor(np.ascontiguousarray(array, np.float32), name=name)
    if len(list(old.uses())) == 1:
        old.const_value = tensor
        return
    name = f"{name}@{node.name}"
    value = ir.Value(name=name, const_value=tensor, type=old.type, shape=old.shape)
    graph.initializers[name] = value
    node.replace_input_with(index, value)


def matrix(value: ir.Value | None) -> Floats | None:
    """The constant 2-D array behind ``value``, or None if it is not one."""
    found = None if value is None else ir.convenience.get_const_tensor(value)
    if found is None or len(found.shape) != 2:
        return None
    return found.numpy().astype(np.float32, copy=False)


def join_columns(values: list[ir.Value], name: str) -> ir.TensorProtocol:
    """Concatenate constant matrices [in, out_i] to one tensor [in, sum of out_i]."""
    arrays = [matrix(value) for value in values]
    return ir.tensor(np.concatenate([a for a in arrays if a is not None], axis=1), name=name)


def common_prefix(first: str, second: str) -> str:
    """The dotted path that two names share.

    >>> common_prefix("layers.0.self_attn.q_proj.weight", "layers.0.self_attn.k_proj.weight")
    'layers.0.self_attn'
    """
    shared = []
    for a, b in zip(first.split("."), second.split("."), strict=False):
        if a != b:
            break
        shared.append(a)
    return ".".join(shared)


def add_constant(graph: ir.Graph, name: str, array: NDArray[Any]) -> ir.Value:
    """An initializer of ``graph``; one that exists under this name is returned as it is."""
    if name in graph.initializers:
        return graph.initializers[name]
    # (ascontiguousarray would make [1] of a scalar, which per-tensor scales are.)
    tensor = ir.tensor(np.asarray(array, order="C"), name=name)
    value = ir.Value(name=name, const_value=tensor, type=ir.TensorType(tensor.dtype))
    value.shape = ir.Shape(array.shape)
    graph.initializers[name] = value
    return value


def insert_behind(graph: ir.Graph, node: ir.Node, follower: ir.Node) -> None:
    """Put ``follower``, which reads what ``node`` writes, between it and all others.

    The follower's result takes the name, so that what is known of the tensor stays true.
    """
    value, result = node.outputs[0], follower.outputs[0]
    result.shape, result.type = value.shape, value.type
    uses = [use for use in value.uses() if use.node is not follower]
    graph.insert_after(node, follower)
    for use in uses:
        use.node.replace_input_with(use.idx, result)
    name = value.name
    value.name, result.name = f"{name}/before_{follower.op_type.lower()}", name
    for index, output in enumerate(graph.outputs):
        if output is value:
            graph.outputs[index] = result
