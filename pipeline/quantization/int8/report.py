"""The int8 stage's report: what is quantized, what is not and why, and what really runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from chattts_onnx.format.manifest import Manifest
from pipeline.quantization.int8.graph import Int8Graph
from pipeline.quantization.sizes import size_rows
from pipeline.quantization.targets import Target
from pipeline.report.rows import Row, make_row
from pipeline.report.write import markdown_table

VARIANT = "int8"


def int8_rows(graphs: Mapping[str, Int8Graph], fp32: Manifest, made: Manifest) -> list[Row]:
    """Sizes; quantized, excluded and executed nodes by graph and operator; names of all."""
    rows = size_rows(VARIANT, fp32, made)
    for name, graph in graphs.items():
        for op_type, count in graph.quantized_counts().items():
            rows.append(_count("quantized_nodes", count, name, op_type))
        for op_type, count in sorted(Counter(e.op_type for e in graph.excluded).items()):
            rows.append(_count("excluded_nodes", count, name, op_type))
        if graph.embeddings:
            rows.append(_count("quantized_tables", len(graph.embeddings), name, "Gather"))
        for op_type, count in graph.operators.items():
            rows.append(_count("executed_nodes", count, name, op_type))
    for name, graph in graphs.items():
        for node, op_type in graph.quantized.items():
            rows.append(make_row(VARIANT, "quantized", 1, "", graph=name, node=node, op=op_type))
        for entry in graph.excluded:
            why = {"node": entry.node, "op": entry.op_type, "reason": entry.reason}
            rows.append(make_row(VARIANT, "excluded", 1, "", graph=name, **why))
    return rows


def _count(metric: str, count: int, graph: str, op_type: str) -> Row:
    return make_row(VARIANT, metric, count, "count", graph=graph, op_type=op_type)


def int8_section(graphs: Mapping[str, Int8Graph], target: Target) -> str:
    """Per graph, quantized nodes beside the integer operators that ONNX Runtime runs."""
    integer = sorted({name for names in target.fused.values() for name in names})
    lines = []
    for name, graph in graphs.items():
        quantized = ", ".join(f"{n} {op}" for op, n in graph.quantized_counts().items())
        fused = ", ".join(
            f"{graph.operators[op]} {op}" for op in integer if graph.operators.get(op)
        )
        excluded = ", ".join(sorted({f"{e.node} ({e.reason})" for e in graph.excluded}))
        lines.append([name, quantized or "–", fused or "–", excluded or "–"])
    header = ["graph", "quantized", "integer operators after optimization", "stay float"]
    return f"Integer formats: {target.why}.\n\n{markdown_table(header, lines)}"
