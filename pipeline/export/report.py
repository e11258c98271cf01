"""The export report: nodes of each graph, and its error against PyTorch at every level."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.export.run import ExportResult
from pipeline.report.rows import Row, make_row
from pipeline.report.write import report_context, write_report

VARIANT = "plain"
NOTE = """\
The graphs as exported, of standard ONNX operators only, run in ONNX Runtime at every optimization
level on random inputs of random shapes (an empty cache among them) and compared with the PyTorch
modules. `relative_error` is `max_error` divided by the reference's largest output, or by 1 if that
is larger; for the codes of `dvae_encode` both are the share of codes that differ."""


def write_export_report(
    path: Path, checkpoint: Mapping[str, Any], result: ExportResult, opset: int
) -> None:
    """Write ``path`` (JSON) and the Markdown beside it."""
    rows: list[Row] = [
        make_row(VARIANT, "nodes", count, "nodes", graph=graph)
        for graph, count in result.nodes.items()
    ]
    for parity in result.parity:
        conditions = {"graph": parity.graph, "level": parity.level, "cases": parity.cases}
        rows.append(make_row(VARIANT, "max_error", parity.max_error, "", **conditions))
        rows.append(make_row(VARIANT, "relative_error", parity.relative_error, "", **conditions))
    context = report_context(checkpoint, "CPUExecutionProvider", opset=opset)
    write_report(path, context, rows, title="Export", sections=[NOTE])
