"""Stage ``calibrate``: activation statistics of real prompts through prefill and code positions.

Reads ``bundles/fp32`` and the calibration sentences; writes ``build/calibration`` (histograms from
which every calibrator works, so that another choice re-runs only ``int8``, what was spoken, and
ranges of keys and values) and
``reports/calibration.{json,md}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.progress import track

from chattts_onnx.format.manifest import Manifest
from pipeline.config import Params
from pipeline.core.atomic import output_directory
from pipeline.quantization.calibration.recorder import PROVIDERS, record
from pipeline.quantization.calibration.recording import Recording, graph_feeds
from pipeline.quantization.calibration.recordings_file import save_recordings
from pipeline.quantization.calibration.report import calibration_rows, calibration_section
from pipeline.quantization.calibration.statistics import GraphStatistics, collect, save_statistics
from pipeline.quantization.kv_cache import Array, collect_magnitudes, save_magnitudes
from pipeline.quantization.sizes import graph_hashes
from pipeline.report.write import report_context, write_report
from pipeline.stages._runner import stage_main

SOURCE = Path("bundles/fp32")
STATISTICS = Path("build/calibration")
REPORT = Path("reports/calibration.json")


def run(params: Params, workspace: Path) -> None:
    """See the module's docstring.

    Raises:
        ConfigError: the sentences are missing, malformed or too few.
        BundleError: the FP32 bundle is missing or damaged.
        QuantizationError: an activation is not finite.
    """
    config = params.calibration
    console = Console(stderr=True)
    source = workspace / SOURCE
    manifest = Manifest.load(source, verify=False)
    recordings = list(
        track(
            record(source, workspace, config.recording, params.seed),
            description="calibrate: the FP32 bundle speaks",
            total=config.recording.samples,
            console=console,
        )
    )
    statistics: dict[str, GraphStatistics] = {}
    for name, graph in manifest.graphs.items():
        batches = (
            feeds
            for recording in _watched(recordings, name, console)
            for feeds in graph_feeds(name, manifest.model, recording)
        )
        statistics[name] = collect(source / graph.file, name, batches, config.histogram_bins)
    magnitudes = _cache_magnitudes(source, manifest, recordings, console)
    counts = {
        "samples": len(recordings),
        "text_positions": sum(len(item.text_ids) for item in recordings),
        "code_positions": sum(len(item.codes) for item in recordings),
    }
    with output_directory(workspace / STATISTICS) as folder:
        save_statistics(folder, statistics, graph_hashes(manifest))
        save_recordings(folder, recordings)
        save_magnitudes(folder, magnitudes)
    context = report_context(manifest.checkpoint, PROVIDERS, **counts)
    write_report(
        workspace / REPORT,
        context,
        calibration_rows(statistics, counts),
        title="Calibration",
        sections=[calibration_section(statistics)],
    )


def _cache_magnitudes(
    source: Path, manifest: Manifest, recordings: list[Recording], console: Console
) -> Array:
    gpt, model = manifest.graph("gpt"), manifest.model
    batches = (
        feeds
        for recording in _watched(recordings, "keys and values", console)
        for feeds in graph_feeds("gpt", model, recording)
    )
    return collect_magnitudes(source / gpt.file, model, batches)


def _watched(recordings: list[Recording], graph: str, console: Console) -> Iterable[Recording]:
    """The recordings, with a progress bar over them."""
    return track(recordings, description=f"calibrate: {graph}", console=console)


if __name__ == "__main__":
    stage_main("calibrate", run)
