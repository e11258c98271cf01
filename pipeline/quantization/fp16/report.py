"""The fp16 stage's report: nodes kept in FP32, their reasons, errors and sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from chattts_onnx.format.manifest import Manifest
from pipeline.quantization.fp16.graph import Fp16Graph
from pipeline.quantization.sizes import size_rows
from pipeline.report.rows import Row, make_row
from pipeline.report.write import format_value, markdown_table

VARIANT = "fp16"


def fp16_rows(graphs: Mapping[str, Fp16Graph], fp32: Manifest, made: Manifest) -> list[Row]:
    """Sizes, ranges, errors and counts by graph, and one row for each node that stays FP32."""
    rows = size_rows(VARIANT, fp32, made)
    for name, graph in graphs.items():
        rows.append(make_row(VARIANT, "nodes", graph.nodes, "count", graph=name))
        rows.append(make_row(VARIANT, "kept_fp32_nodes", len(graph.kept), "count", graph=name))
        rows.append(make_row(VARIANT, "largest_activation", graph.largest, "1", graph=name))
        for output, error in graph.max_error.items():
            rows.append(make_row(VARIANT, "max_error", error, "1", graph=name, output=output))
    for name, graph in graphs.items():
        for kept in graph.kept:
            detail = {"op_type": kept.op_type, "reason": kept.reason, "detail": kept.detail}
            value = float("nan") if kept.value is None else kept.value
            rows.append(
                make_row(VARIANT, "kept_fp32", value, "1", graph=name, node=kept.node, **detail)
            )
    return rows


def fp16_section(graphs: Mapping[str, Fp16Graph]) -> str:
    """Counts of kept nodes by reason, and what the CPU does with FP16."""
    lines = []
    for name, graph in graphs.items():
        reasons = Counter(kept.reason for kept in graph.kept)
        text = ", ".join(f"{count} by {reason}" for reason, count in sorted(reasons.items()))
        lines.append([name, str(graph.nodes), text or "–", format_value(graph.largest)])
    table = markdown_table(["graph", "nodes", "kept FP32", "largest activation"], lines)
    return (
        "FP16 is for GPUs: on the CPU provider FP16 graphs run through casts, slower than FP32.\n\n"
        f"{table}"
    )
