"""What the stages ``w8`` and ``w4`` share: a bundle whose MatMul weights are blocks of integers.

Reads ``bundles/fp32``, the calibrated ranges of keys and values, and, where a layer's algorithm
learns from data, calibration sentences; writes ``bundles/<variant>`` and
``reports/<variant>.{json,md}``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console

from chattts_onnx.format.manifest import Manifest, ModelInfo
from pipeline.bundles import derive_bundle
from pipeline.core.atomic import output_directory
from pipeline.graphs.probe import Feeds
from pipeline.quantization.calibration.recorder import PROVIDERS, record
from pipeline.quantization.calibration.recording import Recording, graph_feeds
from pipeline.quantization.kv_cache import cache_model, cache_scales, load_magnitudes
from pipeline.quantization.weight_only.config import WeightOnlyConfig
from pipeline.quantization.weight_only.graph import WeightOnlyGraph, quantize_weights
from pipeline.quantization.weight_only.report import weight_only_rows, weight_only_section
from pipeline.report.write import report_context, write_report

SOURCE = Path("bundles/fp32")
CALIBRATION = Path("build/calibration")
BUNDLES = Path("bundles")
REPORTS = Path("reports")


def build_variant(variant: str, config: WeightOnlyConfig, seed: int, workspace: Path) -> None:
    """Write the bundle and the report of ``variant``.

    Raises:
        BundleError: the FP32 bundle is missing or damaged.
        ConfigError: an algorithm needs sentences that are missing, malformed or too few.
        QuantizationError: a layer cannot be quantized, or would not run as MatMulNBits, or the
            calibration is missing.
    """
    source = workspace / SOURCE
    manifest = Manifest.load(source, verify=False)
    results: dict[str, WeightOnlyGraph] = {}
    cache = None
    if config.cache.bits is not None:
        cache = cache_scales(config.cache, load_magnitudes(workspace / CALIBRATION))
    recordings = Recordings(source, workspace, config, seed)
    with (
        Console(stderr=True).status(variant) as status,
        output_directory(workspace / BUNDLES / variant) as folder,
    ):
        for name, graph in manifest.graphs.items():
            status.update(f"{variant}: {name}")
            batches = partial(recordings.feeds, name, manifest.model)
            results[name] = quantize_weights(
                source / graph.file,
                name,
                config,
                batches,
                folder / graph.file,
                cache if name == "gpt" else None,
            )
        notes = {**manifest.notes, "weight_only": asdict(config)}
        model = cache_model(manifest.model, config.cache)
        made = derive_bundle(source, folder, variant, notes=notes, model=model)
    context = report_context(
        manifest.checkpoint,
        PROVIDERS,
        algorithm=config.algorithm,
        accuracy_level=config.accuracy_level,
        samples=len(recordings),
    )
    write_report(
        workspace / REPORTS / f"{variant}.json",
        context,
        weight_only_rows(variant, results, manifest, made),
        title=f"Weight-only {config.bits} bit",
        sections=[weight_only_section(results, config)],
    )


class Recordings:
    """Inputs of graphs over recorded prompts; the FP32 bundle speaks when they are first used."""

    def __init__(self, source: Path, workspace: Path, config: WeightOnlyConfig, seed: int) -> None:
        self._record = partial(record, source, workspace, config.recording, seed)
        self._items: list[Recording] = []

    def feeds(self, graph: str, model: ModelInfo) -> Iterator[Feeds]:
        """Inputs of ``graph``, recording by recording."""
        if not self._items:
            self._items = list(self._record())
        for recording in self._items:
            yield from graph_feeds(graph, model, recording)

    def __len__(self) -> int:
        """Recordings made so far: none where no layer's algorithm needs data."""
        return len(self._items)
