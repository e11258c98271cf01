"""The report of a weight-only stage: formats, sizes, what stays float and what really runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from chattts_onnx.format.manifest import Manifest
from pipeline.quantization.sizes import size_rows
from pipeline.quantization.weight_only.config import WeightOnlyConfig
from pipeline.quantization.weight_only.graph import WeightOnlyGraph, format_text
from pipeline.quantization.weight_only.matmul_nbits import OP_TYPE
from pipeline.report.rows import Row, make_row
from pipeline.report.write import markdown_table

PROVIDERS_NOTE = """\
`MatMulNBits`, `Gather`, `Cast` and `Mul` are all that is new against the FP32 bundle. The CPU and
the CUDA provider both run them, so that one bundle serves both; only the CPU provider reads
`accuracy_level` ({level}: {meaning})."""

MEANING = {
    4: "activations are rounded to INT8, a scale a block, and products are of integers",
    1: "weights are dequantized to FP32, products are of floats",
    0: "weights are dequantized to FP32, products are of floats",
}


def weight_only_rows(
    variant: str, graphs: Mapping[str, WeightOnlyGraph], fp32: Manifest, made: Manifest
) -> list[Row]:
    """Sizes; quantized, excluded and executed nodes by graph; each weight's format and SQNR."""
    rows = size_rows(variant, fp32, made)

    def count(metric: str, value: int, name: str, op_type: str, **further: str) -> None:
        rows.append(
            make_row(variant, metric, value, "count", graph=name, op_type=op_type, **further)
        )

    for name, graph in graphs.items():
        for text, number in graph.formats().items():
            count("quantized_nodes", number, name, "MatMul", format=text)
        for op_type, number in sorted(Counter(e.op_type for e in graph.excluded).items()):
            count("excluded_nodes", number, name, op_type)
        if graph.embeddings:
            count("quantized_tables", len(graph.embeddings), name, "Gather")
        for op_type, number in graph.operators.items():
            count("executed_nodes", number, name, op_type)
    for name, graph in graphs.items():
        for entry in graph.quantized:
            where = {"graph": name, "node": entry.node, "format": format_text(entry.layout)}
            rows.append(make_row(variant, "weight_sqnr", entry.sqnr_db, "dB", **where))
        for stay in graph.excluded:
            why = {"node": stay.node, "op": stay.op_type, "reason": stay.reason}
            rows.append(make_row(variant, "excluded", 1, "", graph=name, **why))
    return rows


def weight_only_section(graphs: Mapping[str, WeightOnlyGraph], config: WeightOnlyConfig) -> str:
    """Per graph the formats, beside the operator that ONNX Runtime runs for them."""
    lines = []
    for name, graph in graphs.items():
        formats = "; ".join(f"{number} × {text}" for text, number in graph.formats().items())
        stay = Counter(f"{entry.op_type}: {entry.reason}" for entry in graph.excluded)
        excluded = "; ".join(f"{number} {reason}" for reason, number in sorted(stay.items()))
        worst = min((entry.sqnr_db for entry in graph.quantized), default=None)
        executed = str(graph.operators.get(OP_TYPE, 0))
        lowest = "–" if worst is None else f"{worst:.1f} dB"
        lines.append([name, formats or "–", executed, lowest, excluded or "–"])
    header = ["graph", "MatMul weights", f"{OP_TYPE} run", "lowest weight SQNR", "stay float"]
    level = config.accuracy_level
    note = PROVIDERS_NOTE.format(level=level, meaning=MEANING[level])
    return f"{note}\n\n{markdown_table(header, lines)}"
