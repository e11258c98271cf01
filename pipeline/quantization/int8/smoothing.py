"""SmoothQuant: outlier channels of activations are divided by what the weights are multiplied by.

Xiao et al. 2023, arXiv:2211.10438: with s_j = max|X_j|^alpha / max|W_j|^(1 - alpha), X/s times s·W
is X·W.  The division is folded into what makes X, so that nothing is added to the graph:

- into the scale (and bias) of a norm whose output only MatMuls read;
- into the up projection's columns, where a gated product is all that lies between it and the down
  projection;
- into the value projection's columns, where attention is all that lies between it and the output
  projection (a weighted mean over positions leaves channels apart).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from pipeline.quantization.calibration.statistics import GraphStatistics
from pipeline.quantization.int8.qdq import constant

Array = NDArray[Any]

NORMS = {"RMSNormalization": 1, "LayerNormalization": 1, "SkipSimplifiedLayerNormalization": 2}
"""Operators with a scale a channel, and where among the inputs it stands; a bias follows it in
LayerNormalization only."""

ATTENTION = "GroupQueryAttention"

RANGE = (1e-3, 1e3)
"""Limits of a factor: a channel that is next to zero shall not blow up its weights."""


@dataclass(frozen=True)
class Site:
    """A tensor whose channels can be scaled for nothing.

    Attributes:
        kind: ``norm``, ``up_down`` or ``value_output``.
        tensor: the activation that becomes smoother.
        source: the node whose constants take up the division.
        readers: the MatMuls that read it.
        columns: of ``source``'s weight those that make the tensor, None for all.
        repeats: query heads that share a value head, for ``value_output``.
        head_dim: width of a head, for ``value_output``.
    """

    kind: str
    tensor: ir.Value
    source: ir.Node
    readers: tuple[ir.Node, ...]
    columns: tuple[int, int] | None = None
    repeats: int = 1
    head_dim: int = 1


def smooth(
    graph: ir.Graph, statistics: GraphStatistics, alpha: float, pairs: bool
) -> dict[str, Array]:
    """Smooth ``graph`` in place; its outputs stay the same but for rounding.

    Args:
        graph: a fused FP32 graph.
        statistics: of its activations.
        alpha: 0 leaves all the difficulty with the activations, 1 moves it into the weights.
        pairs: smooth up/down and value/output pairs too, not only norms.

    Returns:
        Name of each smoothed tensor and its factors s, float32 [C].

    Raises:
        QuantizationError: a tensor was not calibrated.
    """
    factors: dict[str, Array] = {}
    for site in list(sites(graph)):
        if site.kind != "norm" and not pairs:
            continue
        name = site.tensor.name or ""
        largest = statistics.merged_channels(name).largest
        weights = np.max([np.abs(_weight(node)).max(axis=1) for node in site.readers], axis=0)
        if site.kind == "value_output":
            # heads that share a value head share its factors
            largest, weights = (_per_value_head(array, site) for array in (largest, weights))
        scale = _factors(largest, weights, alpha)
        _divide(graph, site, scale)
        if site.kind == "value_output":
            scale = np.repeat(scale.reshape(-1, site.head_dim), site.repeats, axis=0).reshape(-1)
        for node in site.readers:
            _replace(graph, node, 1, _weight(node) * scale[:, None], "smooth")
        factors[name] = scale
    return factors


def sites(graph: ir.Graph) -> Iterator[Site]:
    """All sites of ``graph``, in the order of its nodes."""
    for node in graph:
        readers = _matmul_readers(graph, node.outputs[0]) if node.outputs else ()
        if not readers:
            continue
        tensor = node.outputs[0]
        if node.op_type in NORMS and _constant(node, NORMS[node.op_type]) is not None:
            yield Site("norm", tensor, node, readers)
        elif node.op_type == "Mul":
            site = _up_down(tensor, node, readers)
            if site is not None:
                yield site
        elif node.op_type == ATTENTION:
            site = _value_output(tensor, node, readers)
            if site is not None:
                yield site


def _matmul_readers(graph: ir.Graph, value: ir.Value) -> tuple[ir.Node, ...]:
    """All readers of ``value``, if they are MatMuls with constant matrices and nobody else."""
    if any(output is value for output in graph.outputs):
        return ()
    uses = list(value.uses())
    if all(use.idx == 0 and _is_projection(use.node) for use in uses):
        return tuple(use.node for use in uses)
    return ()


def _is_projection(node: ir.Node | None) -> bool:
    if node is None or node.op_type != "MatMul":
        return False
    tensor = _constant(node, 1)
    return tensor is not None and len(tensor.shape) == 2


def _up_down(tensor: ir.Value, node: ir.Node, readers: tuple[ir.Node, ...]) -> Site | None:
    """The factor that comes from a projection, packed with the gate or not, without anything
    between; the other one has passed the activation function."""
    for value in node.inputs:
        producer = value.producer() if value is not None else None
        if value is None or producer is None or len(list(value.uses())) != 1:
            continue
        if _is_projection(producer):
            return Site("up_down", tensor, producer, readers)
        if producer.op_type != "Split" or producer.inputs[0] is None:
            continue
        packed = producer.inputs[0].producer()
        if packed is None or not _is_projection(packed):
            continue
        width = _weight(packed).shape[1] // len(producer.outputs)
        index = next(i for i, output in enumerate(producer.outputs) if output is value)
        equal = len(producer.inputs) < 2 or producer.inputs[1] is None
        if equal and len(list(producer.inputs[0].uses())) == 1:
            part = (index * width, (index + 1) * width)
            return Site("up_down", tensor, packed, readers, part)
    return None


def _value_output(tensor: ir.Value, node: ir.Node, readers: tuple[ir.Node, ...]) -> Site | None:
    packed = node.inputs[0].producer() if node.inputs[0] is not None else None
    if packed is None or not _is_projection(packed) or node.inputs[1] is not None:
        return None
    heads = node.attributes.get_int("num_heads", 0)
    kv_heads = node.attributes.get_int("kv_num_heads", 0)
    width = _weight(packed).shape[1]
    head_dim = width // (heads + 2 * kv_heads)
    columns = (width - kv_heads * head_dim, width)
    return Site("value_output", tensor, packed, readers, columns, heads // kv_heads, head_dim)


def _per_value_head(array: Array, site: Site) -> Array:
    grouped = array.reshape(-1, site.repeats, site.head_dim)
    result: Array = grouped.max(axis=1).reshape(-1)
    return result


def _factors(activations: Array, weights: Array, alpha: float) -> Array:
    floor = np.float32(1e-5)
    raw = np.maximum(activations, floor) ** alpha / np.maximum(weights, floor) ** (1 - alpha)
    usable = (activations > floor) & (weights > floor)
    result: Array = np.where(usable, np.clip(raw, *RANGE), 1.0).astype(np.float32)
    return result


def _divide(graph: ir.Graph, site: Site, scale: Array) -> None:
    """Let what makes the site's tensor make it divided by ``scale``."""
    node = site.source
    if site.kind != "norm":
        weight = _weight(node).copy()
        weight[:, slice(*site.columns or (None,))] /= scale
        _replace(graph, node, 1, weight, "smooth")
        return
    index = NORMS[node.op_type]
    indices = [index, index + 1] if node.op_type == "LayerNormalization" else [index]
    for position in indices:
        tensor = _constant(node, position)
        if tensor is not None:
            _replace(graph, node, position, tensor.numpy() / scale, "smooth")


def _constant(node: ir.Node, index: int) -> ir.TensorProtocol | None:
    value = node.inputs[index] if len(node.inputs) > index else None
    return value.const_value if value is not None and value.is_initializer() else None


def _weight(node: ir.Node) -> Array:
    tensor = _constant(node, 1)
    assert tensor is not None
    return tensor.numpy()


def _replace(graph: ir.Graph, node: ir.Node, index: int, array: Array, suffix: str) -> None:
    """Give ``node`` a constant of its own, under the old name if nobody else reads that."""
    old = node.inputs[index]
    assert old is not None and old.name is not None
    name = old.name
    node.replace_input_with(index, None)
    if old.uses():
        name = f"{name}@{node.name}/{suffix}"
    else:
        del graph.initializers[name]
    node.replace_input_with(index, constant(graph, name, array.astype(np.float32)))
