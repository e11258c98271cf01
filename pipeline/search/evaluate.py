"""Measuring a candidate: build what it changes, force it over the FP32 bundle's codes, judge."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import onnxruntime as ort

from chattts_onnx.format.manifest import MANIFEST_NAME
from pipeline.bundles import graph_info
from pipeline.core.atomic import write_json
from pipeline.core.errors import PipelineError
from pipeline.quantization.config import Int8Config
from pipeline.quantization.int8.bundle import Int8Builder, link_rest, opened_builder
from pipeline.quantization.kv_cache import cache_model
from pipeline.quantization.sizes import graph_hashes
from pipeline.quantization.targets import check_machine
from pipeline.report.gates import GateConfig
from pipeline.report.machine import machine_context
from pipeline.report.rows import Row, select
from pipeline.search.config import SearchConfig
from pipeline.search.journal import Entry, Journal
from pipeline.search.judge import Judge, graphs_of
from pipeline.search.space import (
    LayerInfo,
    cost,
    everything_quantized,
    form_of,
    key_of,
    list_layers,
)
from pipeline.search.verdict import chosen_gates, verdict

SOURCE = Path("bundles/fp32")
CALIBRATION = Path("build/calibration")


class BudgetSpentError(PipelineError):
    """The evaluations or minutes of ``conf/search`` are used up."""


@dataclass(frozen=True)
class Measured:
    """One candidate on one component.

    Attributes:
        config: the candidate.
        rows: fidelity, as in the validation report.
        violation: see :class:`pipeline.search.verdict.Verdict`.
        cost: bytes of weights that the component's quantizable layers read.
    """

    config: Int8Config
    rows: list[Row]
    violation: float
    cost: float

    @property
    def passed(self) -> bool:
        """Whether all gates that concern the component are kept."""
        return self.violation == 0


@dataclass
class Evaluator:
    """Builds and judges candidates, within a budget.

    Attributes:
        builder: makes graphs.
        judge: compares them with FP32.
        gates: to be kept.
        variant: name in rows and gates.
        layers: all that can be quantized.
        scratch: folder for the candidate's bundle.
        evaluations: measurements allowed.
        seconds: time allowed, that of earlier runs included.
        journal: the log, None to keep none.
        say: called with a line about each measurement.
    """

    builder: Int8Builder
    judge: Judge
    gates: list[GateConfig]
    variant: str
    layers: list[LayerInfo]
    scratch: Path
    evaluations: float = float("inf")
    seconds: float = float("inf")
    journal: Journal | None = None
    say: Callable[[str], object] = lambda line: None
    _memory: dict[str, Entry] = field(default_factory=dict)

    def component_layers(self, component: str) -> list[LayerInfo]:
        """Quantizable layers of a component's graphs."""
        return [layer for layer in self.layers if layer.graph in graphs_of(component)]

    def measure(self, config: Int8Config, component: str, step: str) -> Measured:
        """Measure ``config``, unless the log has it.

        Raises:
            BudgetSpentError: it has not, and the budget is spent.
            QuantizationError: the candidate cannot be built.
        """
        layers = self.component_layers(component)
        key = key_of(config, graphs_of(component), component)

        def measure() -> Entry:
            self._check_budget()
            return self._measure(config, component, step, layers)

        if self.journal is not None:
            entry = self.journal.get(key, measure)
        else:
            entry = self._memory[key] = self._memory.get(key) or measure()
        return Measured(config, entry["rows"], float(entry["violation"]), float(entry["cost"]))

    def forget(self) -> None:
        """Measure anew what was measured, where something outside of candidates has changed."""
        self._memory.clear()

    def build(self, config: Int8Config, folder: Path, graphs: Sequence[str]) -> Path:
        """A bundle in ``folder`` with ``graphs`` quantized and all others as in FP32."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for graph in graphs:
            file = self.builder.manifest.graph(graph).file
            self.builder.build(graph, config, folder / file, count_operators=False)
        if "gpt" in graphs:
            self._describe(config, folder)
        link_rest(self.builder.source, folder, graphs)
        return folder

    def _describe(self, config: Int8Config, folder: Path) -> None:
        """A manifest that knows the type of the candidate's keys and values."""
        source = self.builder.manifest
        gpt = graph_info(folder / source.graph("gpt").file)
        model = cache_model(source.model, config.cache)
        manifest = replace(source, model=model, graphs={**source.graphs, "gpt": gpt})
        write_json(folder / MANIFEST_NAME, manifest.to_dict())

    def _measure(
        self, config: Int8Config, component: str, step: str, layers: list[LayerInfo]
    ) -> Entry:
        started = time.perf_counter()
        folder = self.build(config, self.scratch / "candidate", graphs_of(component))
        rows = self.judge.rows(folder, [component], self.variant)
        found = verdict(rows, self.gates, self.variant)
        shutil.rmtree(folder)
        entry: Entry = {
            "component": component,
            "step": step,
            "cost": cost(config, layers),
            "violation": found.violation,
            "failed": [result.describe() for result in found.results if not result.passed],
            "repairs": {
                "calibrator": config.calibrator,
                "cache_bits": config.cache.bits,
                **{k: v for k, v in asdict(config.repairs).items() if k != "blocks"},
            },
            "forms": {
                layer.path: form_of(config, layer)
                for layer in layers
                if form_of(config, layer) != "static"
            },
            "rows": rows,
            "seconds": round(time.perf_counter() - started, 3),
        }
        self.say(_line(entry))
        return entry

    def _check_budget(self) -> None:
        if self.journal is None:
            return
        if len(self.journal.entries) >= self.evaluations or self.journal.seconds >= self.seconds:
            raise BudgetSpentError(
                f"the budget of {self.evaluations} evaluations and {self.seconds / 60:g} minutes "
                "is spent; run it again with more, by --minutes or search.evaluations of "
                "conf/search: it goes on where it was"
            )


def _line(entry: Entry) -> str:
    kl = next(iter(select(entry["rows"], "kl_divergence")), None)
    worst = f", KL {kl['value']:.3g}" if kl else ""
    return (
        f"{entry['component']}: {entry['step']}: {entry['cost'] / 1e6:.2f} MB, "
        f"violation {entry['violation']:.3g}{worst}, {entry['seconds']:.1f} s"
    )


def search_inputs(
    search: SearchConfig, int8: Int8Config, evaluator: Evaluator, seed: int
) -> dict[str, Any]:
    """All that measurements depend on, for the head of the log."""
    budget = ("evaluations", "minutes", "gates", "sensitivity_prompts")
    config = {k: v for k, v in asdict(search).items() if k not in budget}
    return {
        "graphs": graph_hashes(evaluator.builder.manifest),
        "samples": len(evaluator.builder.recordings),
        "search": config,
        "gates": [asdict(gate) for gate in evaluator.gates],
        "int8": asdict(int8),
        "seed": seed,
        "onnxruntime": ort.__version__,
        "isa": machine_context()["isa"],
    }


@contextmanager
def opened_evaluator(
    workspace: Path,
    config: SearchConfig,
    int8: Int8Config,
    gates: Mapping[str, list[GateConfig]],
    seed: int,
    only: Sequence[str] | None = None,
) -> Iterator[Evaluator]:
    """An evaluator without log and budget for the FP32 bundle of ``workspace``.

    What can be wrong with the parameters is refused before anything is measured.

    Args:
        workspace: holds the bundle and its calibration.
        config: what is measured.
        int8: parameters of the int8 stage.
        gates: by variant, those of ``conf/validate``.
        seed: of the sentences' sampling.
        only: graphs whose layers are listed, None for all.

    Raises:
        ConfigError: a gate, the target or the sentences are wrong.
        BundleError: there is no FP32 bundle.
        QuantizationError: there is no calibration of it.
    """
    chosen = chosen_gates(gates, config.variant, config.gates, config.margin)
    isa = machine_context()["isa"]
    check_machine(int8.target, isa, ort.get_available_providers())
    source = workspace / SOURCE
    with opened_builder(source, workspace / CALIBRATION) as builder:
        infos = builder.manifest.graphs
        files = {name: info.file for name, info in infos.items() if not only or name in only}
        layers = list_layers(source, files, everything_quantized(int8))
        judge = Judge.open(source, workspace, config, seed)
        yield Evaluator(builder, judge, chosen, config.variant, layers, builder.scratch)
