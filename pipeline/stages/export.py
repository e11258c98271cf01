"""Stage ``export``: checkpoint to plain FP32 ONNX graphs, checked against the reference."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from pipeline.checkpoint.record import read_record
from pipeline.config import Params
from pipeline.core import atomic
from pipeline.export.run import ExportResult, export_all
from pipeline.reference.load import load_modules
from pipeline.report.rows import Row, make_row
from pipeline.report.write import report_context, write_report
from pipeline.stages._runner import stage_main

VARIANT = "plain"
NOTE = """\
The graphs as exported, of standard ONNX operators only, run in ONNX Runtime at every optimization
level on random inputs of random shapes (an empty cache among them) and compared with the PyTorch
modules. `relative_error` is `max_error` divided by the reference's largest output, or by 1 if that
is larger; for the codes of `dvae_encode` both are the share of codes that differ."""


def run(params: Params, workspace: Path) -> None:
    """Read ``build/checkpoint``, write ``build/export`` and ``reports/export.{json,md}``."""
    checkpoint = workspace / "build" / "checkpoint"
    modules = load_modules(checkpoint)
    with atomic.output_directory(workspace / "build" / "export") as folder:
        result = export_all(modules, params.export, folder, params.seed)
    opset = params.export.opset
    context = report_context(asdict(read_record(checkpoint)), "CPUExecutionProvider", opset=opset)
    path = workspace / "reports" / "export.json"
    write_report(path, context, export_rows(result), title="Export", sections=[NOTE])


def export_rows(result: ExportResult) -> list[Row]:
    """Nodes of each graph, and its error against PyTorch at every level."""
    nodes = result.nodes.items()
    rows = [make_row(VARIANT, "nodes", count, "nodes", graph=graph) for graph, count in nodes]
    for parity in result.parity:
        conditions = {"graph": parity.graph, "level": parity.level, "cases": parity.cases}
        rows.append(make_row(VARIANT, "max_error", parity.max_error, "", **conditions))
        rows.append(make_row(VARIANT, "relative_error", parity.relative_error, "", **conditions))
    return rows


if __name__ == "__main__":
    stage_main("export", run)
