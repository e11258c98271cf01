"""Channels made even between what writes them and what reads them, without any data.

A channel may be multiplied by any s where it is made and divided by s where it is read: the
function stays, and a checkpoint can have any such s in it, from training or from a tool.  What
rounds numbers later on, to FP16 or to integers that share a scale, goes by sizes, and one channel a
hundred times larger than the rest leaves nothing for those.  So each channel gets the s that makes
both sides equally large (cross-layer equalization: Nagel et al. 2019, arXiv:1906.04721, section
4.1), whatever it had before.  It is folded into constants:

- of a norm whose output only MatMuls read, and of those;
- of the up projection, where a gated product is all that lies between it and the down projection;
- of the value projection, where attention is all that lies between it and the output projection (a
  weighted mean over positions leaves channels apart).

Every s is a power of two, so that nothing is rounded: FP32 results stay the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from pipeline.checkpoint.dims import CheckpointDims
from pipeline.graphs.edit import Change, Context, constant, replace_constant

Array = NDArray[Any]

NAME, CHANNELS = "balance", "uneven_channels"
"""In ``fuse.disabled`` and in the report, beside the rules; and the metric that names channels."""

NORMS = {"RMSNormalization": 1, "LayerNormalization": 1, "SkipSimplifiedLayerNormalization": 2}
"""Operators with a scale a channel, and where among the inputs it stands; a bias follows it in
LayerNormalization only."""

ATTENTION = "GroupQueryAttention"

UNEVEN = 4.0
"""A channel is named whose s or 1/s is as large: it was that many times squared out of proportion
to the middle one."""

LARGEST = 2.0**20
"""Limit of s and 1/s, so that no channel leaves the range of floats."""


@dataclass(frozen=True)
class Site:
    """A tensor whose channels can be scaled for nothing.

    Attributes:
        kind: ``norm``, ``up_down`` or ``value_output``.
        tensor: the activation.
        source: the node whose constants make it.
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


def balance(model: ir.Model, context: Context) -> Change:
    """Balance all sites of a fused FP32 graph."""
    graph = model.graph
    # pairs first: they change columns that a norm's factors go by
    found = sorted(sites(graph), key=lambda site: site.kind == "norm")
    channels: dict[str, tuple[int, ...]] = {}
    for site in found:
        scale = _factors(site)
        if uneven := _uneven(scale):
            channels |= {node.name or "": uneven for node in site.readers}
        _divide(graph, site, scale)
        for node in site.readers:
            replace_constant(graph, node, 1, _weight(node) * _per_query_head(scale, site)[:, None])
    return Change(len(found), channels)


def expected(graph: str, dims: CheckpointDims) -> int:
    """How many sites a graph of these sizes has."""
    blocks = {
        # two norms and two pairs
        "gpt": 4 * dims.num_hidden_layers,
        "decoder": dims.decoder.num_layers,
        "dvae_decode": dims.dvae_decoder.num_layers,
        "dvae_encode": dims.dvae_encoder.num_layers,
        # the last norm too
        "vocos": dims.vocos.num_layers + 1,
    }
    return blocks.get(graph, 0)


def sites(graph: ir.Graph) -> Iterator[Site]:
    """All sites of ``graph``, in the order of its nodes."""
    for node in graph:
        readers = _matmul_readers(graph, node.outputs[0]) if node.outputs else ()
        if not readers:
            continue
        tensor = node.outputs[0]
        if node.op_type in NORMS and constant(node, NORMS[node.op_type]) is not None:
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
    tensor = constant(node, 1)
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


def _factors(site: Site) -> Array:
    """What each channel is divided by where it is made; 1 where it is zero on either side."""
    if site.kind == "norm":
        scale = constant(site.source, NORMS[site.source.op_type])
        assert scale is not None
        made = np.abs(scale.numpy().astype(np.float64)).reshape(-1)
    else:
        columns = _weight(site.source)[:, slice(*site.columns or (None,))]
        made = _rms([columns.T])
    read = _per_value_head(_rms([_weight(node) for node in site.readers]), site)
    live = (made > 0) & (read > 0)
    steps = np.zeros(len(made))
    steps[live] = np.rint(np.log2(made[live] / read[live]) / 2)
    # what counts is how channels compare: the middle one stays
    if live.any():
        steps[live] -= np.rint(np.median(steps[live]))
    limit = np.log2(LARGEST)
    result: Array = np.exp2(np.clip(steps, -limit, limit)).astype(np.float32)
    return result


def _uneven(scale: Array) -> tuple[int, ...]:
    """Channels whose factor is :data:`UNEVEN`, the worst first."""
    size = np.abs(np.log2(scale))
    order = np.argsort(-size, kind="stable")
    return tuple(int(channel) for channel in order if size[channel] >= np.log2(UNEVEN))


def _rms(matrices: list[Array]) -> Array:
    """Root mean square of each row over all ``matrices`` [K, N]."""
    rows = np.concatenate(matrices, axis=1, dtype=np.float64)
    result: Array = np.sqrt(np.square(rows).mean(axis=1))
    return result


def _per_value_head(array: Array, site: Site) -> Array:
    """The largest over query heads that share a value head, for a tensor of query heads."""
    grouped = array.reshape(-1, site.repeats, site.head_dim)
    result: Array = grouped.max(axis=1).reshape(-1)
    return result


def _per_query_head(scale: Array, site: Site) -> Array:
    """The reverse: a factor for each channel of the tensor."""
    return np.repeat(scale.reshape(-1, site.head_dim), site.repeats, axis=0).reshape(-1)


def _divide(graph: ir.Graph, site: Site, scale: Array) -> None:
    """Let what makes the site's tensor make it divided by ``scale``."""
    node = site.source
    if site.kind != "norm":
        weight = _weight(node).copy()
        weight[:, slice(*site.columns or (None,))] /= scale
        replace_constant(graph, node, 1, weight)
        return
    index = NORMS[node.op_type]
    indices = [index, index + 1] if node.op_type == "LayerNormalization" else [index]
    for position in indices:
        tensor = constant(node, position)
        if tensor is not None:
            replace_constant(graph, node, position, tensor.numpy() / scale)


def _weight(node: ir.Node) -> Array:
    tensor = constant(node, 1)
    assert tensor is not None
    return tensor.numpy()
