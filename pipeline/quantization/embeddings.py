"""Embedding tables as INT8 rows: a quarter of the bytes, one scale a row, exact gathers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from pipeline.graphs.edit import add_constant
from pipeline.graphs.files import matching_pattern
from pipeline.quantization.integers import quantize_weight

ROW_LIMIT = 127
"""Rows meet no integer product, so that all 8 bits may be used on every target."""

MIN_WIDTH = 16
"""Narrower tables, such as a code book of 4 channels, save nothing and lose precision."""


def quantize_embeddings(graph: ir.Graph, exclude_names: Sequence[str]) -> list[str]:
    """Replace gathers from float tables [rows, width] by gathers of integers and scales.

    Returns:
        Names of the Gather nodes replaced, in graph order.
    """
    replaced = []
    for node in list(graph):
        if _is_embedding(node, graph, exclude_names):
            replaced.append(node.name or "")
            _replace(graph, node)
    return replaced


def _is_embedding(node: ir.Node, graph: ir.Graph, exclude_names: Sequence[str]) -> bool:
    if node.op_type != "Gather" or node.domain not in ("", "ai.onnx"):
        return False
    table = node.inputs[0]
    if table is None or not table.is_initializer() or table.const_value is None:
        return False
    tensor = table.const_value
    return (
        tensor.dtype == ir.DataType.FLOAT
        and len(tensor.shape) == 2
        and int(tensor.shape.numpy()[1]) >= MIN_WIDTH
        and node.attributes.get_int("axis", 0) == 0
        and all(use.node.op_type == "Gather" for use in table.uses())
        and matching_pattern(node, exclude_names) is None
    )


def _replace(graph: ir.Graph, node: ir.Node) -> None:
    table, ids = node.inputs
    assert table is not None and table.const_value is not None
    name = table.name or ""
    if f"{name}/quantized" not in graph.initializers:
        integers, scales = quantize_weight(table.const_value.numpy(), 0, ROW_LIMIT)
        add_constant(graph, f"{name}/quantized", integers)
        add_constant(graph, f"{name}/scale", scales[:, None].astype(np.float32))
    rows = ir.node("Gather", [graph.initializers[f"{name}/quantized"], ids])
    scale = ir.node("Gather", [graph.initializers[f"{name}/scale"], ids])
    real = ir.node("Cast", [rows.outputs[0]], attributes={"to": int(ir.DataType.FLOAT)})
    scaled = ir.node("Mul", [real.outputs[0], scale.outputs[0]])
    for new, part in ((rows, "rows"), (scale, "scale"), (real, "real"), (scaled, "scaled")):
        new.name = f"{node.name}/{part}"
        new.outputs[0].name = f"{node.outputs[0].name}/{part}"
    result = scaled.outputs[0]
    result.dtype, result.shape = ir.DataType.FLOAT, node.outputs[0].shape
    graph.insert_before(node, [rows, scale, real, scaled])
    node.outputs[0].replace_all_uses_with(result, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    if not table.uses():
        del graph.initializers[name]
