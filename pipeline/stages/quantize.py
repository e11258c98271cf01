"""Make one variant of the FP32 bundle: ``python -m pipeline.stages.quantize VARIANT``.

Reads ``bundles/fp32``, ``build/calibration`` and, where a form learns from data, the calibration
sentences; writes ``bundles/VARIANT`` and ``reports/VARIANT.{json,md}``.  ``precision.VARIANT`` says
how, and its dataclass says which builder here makes it.  ``build/quantize/VARIANT.json`` tells
later stages, which know no variant by name, that a report changed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import onnxruntime as ort
from rich.console import Console

from chattts_onnx.format.files import hash_file
from chattts_onnx.format.manifest import Manifest, ModelInfo
from pipeline.bundles import derive_bundle
from pipeline.config import Params
from pipeline.core.atomic import output_directory, write_json
from pipeline.core.errors import ConfigError, require_one_of
from pipeline.graphs.probe import Feeds
from pipeline.quantization.calibration.recorder import PROVIDERS, record
from pipeline.quantization.calibration.recording import Recording, graph_feeds
from pipeline.quantization.config import Fp16Config, Int8Config, RecordingConfig
from pipeline.quantization.fp16.graph import convert_graph
from pipeline.quantization.fp16.report import fp16_rows, fp16_section
from pipeline.quantization.int8.bundle import opened_builder
from pipeline.quantization.int8.report import int8_rows, int8_section
from pipeline.quantization.kv_cache import cache_model, cache_scales, load_magnitudes
from pipeline.quantization.targets import TARGETS, check_machine
from pipeline.quantization.weight_only.config import WeightOnlyConfig
from pipeline.quantization.weight_only.graph import quantize_weights
from pipeline.quantization.weight_only.report import weight_only_rows, weight_only_section
from pipeline.report.machine import machine_context
from pipeline.report.rows import Row
from pipeline.report.write import report_context, write_report
from pipeline.stages._runner import stage_main

SOURCE = Path("bundles/fp32")
CALIBRATION = Path("build/calibration")
MARKERS = Path("build/quantize")
BUNDLES = Path("bundles")
REPORTS = Path("reports")


@dataclass
class Task:
    """A variant to make in a workspace."""

    variant: str
    params: Params
    workspace: Path

    @property
    def source(self) -> Path:
        """Folder of the FP32 bundle."""
        return self.workspace / SOURCE

    @cached_property
    def manifest(self) -> Manifest:
        """Of the FP32 bundle, read when it is first needed."""
        return Manifest.load(self.source, verify=False)

    def graph(self, name: str) -> Path:
        """A graph of the FP32 bundle."""
        return self.source / self.manifest.graph(name).file

    def recordings(self, config: RecordingConfig) -> Recordings:
        """What the FP32 bundle speaks, as inputs of graphs."""
        known = self.params.calibration.recording.sentences
        if config.sentences != known:
            raise ConfigError(
                f"precision.{self.variant}.recording.sentences: found {config.sentences}, expected "
                f"{known} as in calibration.recording, the file that DVC watches; set it there"
            )
        return Recordings(self, config)


class Recordings:
    """Inputs of graphs over recorded prompts; the FP32 bundle speaks when they are first used."""

    def __init__(self, task: Task, config: RecordingConfig) -> None:
        self._record = partial(record, task.source, task.workspace, config, task.params.seed)
        self._model = task.manifest.model
        self._items: list[Recording] = []

    def feeds(self, graph: str) -> Iterator[Feeds]:
        """Inputs of ``graph``, recording by recording."""
        self._items = self._items or list(self._record())
        for recording in self._items:
            yield from graph_feeds(graph, self._model, recording)

    def __len__(self) -> int:
        """Recordings made so far: none where no layer needs data."""
        return len(self._items)


@dataclass(frozen=True)
class Form:
    """How a bundle is made and told of; graphs' results are passed on as the quantizer gave them.

    Attributes:
        title: of the report.
        graph: makes the graph of a name in a file; returns its result.
        rows: of the report, from results, the FP32 manifest and the variant's.
        section: Markdown of the results.
        model: sizes of the variant's manifest.
        notes: added to the manifest's.
        provider: that the report's figures are of.
        facts: of the report's context, once all graphs are made.
    """

    title: str
    graph: Callable[[str, Path], Any]
    rows: Callable[[dict[str, Any], Manifest, Manifest], list[Row]]
    section: Callable[[dict[str, Any]], str]
    model: ModelInfo
    notes: Mapping[str, Any] = field(default_factory=dict)
    provider: Any = PROVIDERS
    facts: Callable[[], dict[str, Any]] = dict


@contextmanager
def half(task: Task, config: Fp16Config) -> Iterator[Form]:
    """FP16 weights and activations, with what is unsafe kept in FP32.

    Raises:
        QuantizationError: the checkpoint has no finite FP16 form under these rules.
    """
    recordings = task.recordings(config.recording)
    yield Form(
        title="FP16",
        graph=lambda name, path: convert_graph(
            task.graph(name), list(recordings.feeds(name)), config, path
        ),
        rows=fp16_rows,
        section=fp16_section,
        model=replace(task.manifest.model, kv_dtype="float16"),
        facts=lambda: {"max_range": config.max_range},
    )


@contextmanager
def static(task: Task, config: Int8Config) -> Iterator[Form]:
    """Static W8A8, with ranges of the chosen calibrator.

    Raises:
        ConfigError: the target has no static graph, or this machine cannot run it.
        QuantizationError: the calibration is missing or of another bundle, or a quantized node
            would not run in integers.
    """
    isa = machine_context()["isa"]
    check_machine(config.target, isa, ort.get_available_providers(), config.foreign)
    with opened_builder(task.source, task.workspace / CALIBRATION) as builder:
        yield Form(
            title="Static INT8 (W8A8)",
            graph=lambda name, path: builder.build(name, config, path),
            rows=int8_rows,
            section=lambda results: int8_section(results, TARGETS[config.target]),
            model=cache_model(task.manifest.model, config.cache),
            notes={"int8": asdict(config)},
            provider="CPUExecutionProvider",
            facts=lambda: {"target": config.target, "calibrator": config.calibrator},
        )


@contextmanager
def weight_only(task: Task, config: WeightOnlyConfig) -> Iterator[Form]:
    """Weights of MatMul as blocks of integers (MatMulNBits), for the CPU and CUDA.

    Raises:
        QuantizationError: a layer cannot be quantized, or would not run as MatMulNBits, or the
            calibration is missing.
    """
    recordings = task.recordings(config.recording)
    cache = None
    if config.cache.bits is not None:
        cache = cache_scales(config.cache, load_magnitudes(task.workspace / CALIBRATION))
    yield Form(
        title=f"Weight-only {config.bits} bit",
        graph=lambda name, path: quantize_weights(
            task.graph(name),
            name,
            config,
            partial(recordings.feeds, name),
            path,
            cache if name == "gpt" else None,
        ),
        rows=partial(weight_only_rows, task.variant),
        section=lambda results: weight_only_section(results, config),
        model=cache_model(task.manifest.model, config.cache),
        notes={"weight_only": asdict(config)},
        facts=lambda: {
            "algorithm": config.algorithm,
            "accuracy_level": config.accuracy_level,
            "samples": len(recordings),
        },
    )


Builder = Callable[[Task, Any], AbstractContextManager[Form]]
BUILDERS: dict[type, Builder] = {
    Fp16Config: half,
    Int8Config: static,
    WeightOnlyConfig: weight_only,
}
"""Which builder makes a variant, by the dataclass of its ``precision.VARIANT``."""


def run(params: Params, workspace: Path, variant: str) -> None:
    """See the module's docstring.

    Raises:
        ConfigError: ``precision`` has no such variant, or its sentences are missing, malformed,
            too few or not those of the calibration.
        BundleError: the FP32 bundle is missing or damaged.
        QuantizationError: see the builders.
    """
    known = [entry.name for entry in fields(params.precision)]
    require_one_of("variant", variant, known)
    config = getattr(params.precision, variant)
    task = Task(variant, params, workspace)
    results: dict[str, Any] = {}
    with (
        BUILDERS[type(config)](task, config) as form,
        Console(stderr=True).status(variant) as status,
        output_directory(workspace / BUNDLES / variant) as folder,
    ):
        manifest = task.manifest
        for name, graph in manifest.graphs.items():
            status.update(f"{variant}: {name}")
            results[name] = form.graph(name, folder / graph.file)
        notes = {**manifest.notes, **form.notes}
        made = derive_bundle(task.source, folder, variant, notes=notes, model=form.model)
    report = workspace / REPORTS / f"{variant}.json"
    write_report(
        report,
        report_context(manifest.checkpoint, form.provider, **form.facts()),
        # A builder that made one variant so far says its name.
        [{**row, "variant": variant} for row in form.rows(results, manifest, made)],
        title=form.title,
        sections=[form.section(results)],
    )
    write_json(workspace / MARKERS / f"{variant}.json", {"report": hash_file(report)})


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.stages.quantize", description=__doc__)
    parser.add_argument("variant", help="a key of `precision`")
    variant = parser.parse_args().variant
    stage_main(variant, partial(run, variant=variant))


if __name__ == "__main__":
    main()
