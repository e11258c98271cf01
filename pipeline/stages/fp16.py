"""Stage ``fp16``: the FP16 bundle, with what is unsafe kept in FP32.

Reads ``bundles/fp32`` and some calibration sentences; writes ``bundles/fp16`` and
``reports/fp16.{json,md}``, which lists every node that stays FP32 and why.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from chattts_onnx.format.manifest import Manifest
from pipeline.bundles import derive_bundle
from pipeline.config import Params
from pipeline.core.atomic import output_directory
from pipeline.quantization.calibration.recorder import PROVIDERS, record
from pipeline.quantization.calibration.recording import graph_feeds
from pipeline.quantization.fp16.graph import Fp16Graph, convert_graph
from pipeline.quantization.fp16.report import fp16_rows, fp16_section
from pipeline.report.write import report_context, write_report
from pipeline.stages._runner import stage_main

SOURCE = Path("bundles/fp32")
DESTINATION = Path("bundles/fp16")
REPORT = Path("reports/fp16.json")


def run(params: Params, workspace: Path) -> None:
    """See the module's docstring.

    Raises:
        ConfigError: the sentences are missing, malformed or too few.
        BundleError: the FP32 bundle is missing or damaged.
        QuantizationError: the checkpoint has no finite FP16 form under these rules.
    """
    config = params.precision.fp16
    source = workspace / SOURCE
    manifest = Manifest.load(source, verify=False)
    console = Console(stderr=True)
    results: dict[str, Fp16Graph] = {}
    with console.status("fp16: the FP32 bundle speaks") as status:
        recordings = list(record(source, workspace, config.recording, params.seed))
        with output_directory(workspace / DESTINATION) as folder:
            for name, graph in manifest.graphs.items():
                status.update(f"fp16: {name}")
                batches = [
                    feeds
                    for recording in recordings
                    for feeds in graph_feeds(name, manifest.model, recording)
                ]
                path = source / graph.file
                results[name] = convert_graph(path, batches, config, folder / graph.file)
            made = derive_bundle(
                source, folder, "fp16", model=replace(manifest.model, kv_dtype="float16")
            )
    context = report_context(manifest.checkpoint, PROVIDERS, max_range=config.max_range)
    write_report(
        workspace / REPORT,
        context,
        fp16_rows(results, manifest, made),
        title="FP16",
        sections=[fp16_section(results)],
    )


if __name__ == "__main__":
    stage_main("fp16", run)
