"""Reading and writing graphs, and matching their nodes by name."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import onnx_ir as ir

from pipeline.core.errors import QuantizationError

EMBEDDED_BYTES = 1024
"""Tensors up to this size stay inside the .onnx file, where shape inference sees them."""


def load_graph(path: Path) -> ir.Model:
    """Read a graph; its weights stay on disk until they are used.

    Raises:
        QuantizationError: the file is missing or is no ONNX model.
    """
    try:
        return ir.load(path)
    except Exception as error:
        raise QuantizationError(
            f"{path}: cannot be read as an ONNX graph ({error}); run the fuse stage again"
        ) from error


def save_graph(model: ir.Model, path: Path) -> None:
    """Write ``path`` and its weights to ``path``.data, tensor by tensor, without padding.

    Raises:
        QuantizationError: the data file holds other bytes than the graph's tensors need.
    """
    data = path.with_name(f"{path.name}.data")
    ir.save(model, path, external_data=data.name, size_threshold_bytes=EMBEDDED_BYTES)
    expected = external_bytes(model)
    found = data.stat().st_size if data.exists() else 0
    if found != expected:
        raise QuantizationError(
            f"{data}: found {found} bytes, expected the {expected} that the graph's tensors need"
        )


def external_bytes(model: ir.Model) -> int:
    """Bytes of the weights that :func:`save_graph` puts outside the .onnx file."""
    tensors = (value.const_value for value in model.graph.initializers.values())
    return sum(t.nbytes for t in tensors if t is not None and t.nbytes > EMBEDDED_BYTES)


def weight_names(node: ir.Node) -> list[str]:
    """Names of the initializers that ``node`` reads."""
    return [v.name or "" for v in node.inputs if v is not None and v.is_initializer()]


def matching_pattern(node: ir.Node, patterns: Sequence[str], graph: str = "") -> str | None:
    """The first shell pattern that matches the node's name or that of one of its weights.

    With ``graph`` a pattern may name it too: ``gpt/layers.0.*``.
    """
    names = [node.name or "", *weight_names(node)]
    names += [f"{graph}/{name}" for name in names if graph]
    return next((p for p in patterns if any(fnmatchcase(name, p) for name in names)), None)


def reduction_depth(node: ir.Node) -> int | None:
    """How many terms one output of a MatMul, Gemm or Conv with constant weights sums.

    None for other nodes and for weights of unknown shape.
    """
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if weight is None or weight.const_value is None:
        return None
    shape = tuple(int(size) for size in weight.const_value.shape.numpy())
    if node.op_type == "MatMul":
        return shape[-2] if len(shape) > 1 else shape[0]
    if node.op_type == "Gemm":
        transposed = node.attributes.get_int("transB", 0)
        return shape[1] if transposed else shape[0]
    if node.op_type == "Conv":
        depth = 1
        for size in shape[1:]:
            depth *= size
        return depth
    return None
