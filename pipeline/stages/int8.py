"""Stage ``int8``: the static W8A8 bundle, with ranges of the chosen calibrator.

Reads ``bundles/fp32`` and ``build/calibration``; writes ``bundles/int8`` and
``reports/int8.{json,md}``.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import onnxruntime as ort
from rich.console import Console

from pipeline.bundles import derive_bundle
from pipeline.config import Params
from pipeline.core.atomic import output_directory
from pipeline.quantization.int8.bundle import opened_builder
from pipeline.quantization.int8.graph import Int8Graph
from pipeline.quantization.int8.report import int8_rows, int8_section
from pipeline.quantization.kv_cache import cache_model
from pipeline.quantization.targets import TARGETS, check_machine
from pipeline.report.machine import machine_context
from pipeline.report.write import report_context, write_report
from pipeline.stages._runner import stage_main

SOURCE = Path("bundles/fp32")
STATISTICS = Path("build/calibration")
DESTINATION = Path("bundles/int8")
REPORT = Path("reports/int8.json")


def run(params: Params, workspace: Path) -> None:
    """See the module's docstring.

    Raises:
        ConfigError: the target has no static graph, or this machine cannot run it.
        BundleError: the FP32 bundle is missing or damaged.
        QuantizationError: the calibration is missing or of another bundle, or a quantized node
            would not run in integers.
    """
    config = params.precision.int8
    isa = machine_context()["isa"]
    check_machine(config.target, isa, ort.get_available_providers(), config.foreign)
    source = workspace / SOURCE
    results: dict[str, Int8Graph] = {}
    with (
        opened_builder(source, workspace / STATISTICS) as builder,
        Console(stderr=True).status("int8") as status,
        output_directory(workspace / DESTINATION) as folder,
    ):
        manifest = builder.manifest
        for name, graph in manifest.graphs.items():
            status.update(f"int8: {name}")
            results[name] = builder.build(name, config, folder / graph.file)
        notes = {**manifest.notes, "int8": asdict(config)}
        model = cache_model(manifest.model, config.cache)
        made = derive_bundle(source, folder, "int8", notes=notes, model=model)
    target = TARGETS[config.target]
    context = report_context(
        manifest.checkpoint,
        "CPUExecutionProvider",
        target=config.target,
        calibrator=config.calibrator,
    )
    write_report(
        workspace / REPORT,
        context,
        int8_rows(results, manifest, made),
        title="Static INT8 (W8A8)",
        sections=[int8_section(results, target)],
    )


if __name__ == "__main__":
    stage_main("int8", run)
