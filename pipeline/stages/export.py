"""Stage ``export``: checkpoint to plain FP32 ONNX graphs, checked against the reference."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from pipeline.checkpoint.record import read_record
from pipeline.config import Params
from pipeline.core import atomic
from pipeline.export.report import write_export_report
from pipeline.export.run import export_all
from pipeline.reference.load import load_modules
from pipeline.stages._runner import stage_main


def run(params: Params, workspace: Path) -> None:
    """Read ``build/checkpoint``, write ``build/export`` and ``reports/export.{json,md}``."""
    checkpoint = workspace / "build" / "checkpoint"
    modules = load_modules(checkpoint)
    with atomic.output_directory(workspace / "build" / "export") as folder:
        result = export_all(modules, params.export, folder, params.seed)
    report, record = workspace / "reports" / "export.json", asdict(read_record(checkpoint))
    write_export_report(report, record, result, params.export.opset)


if __name__ == "__main__":
    stage_main("export", run)
