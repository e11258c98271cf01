"""Stage ``sensitivity``: which layers and tensors static INT8 hurts, and where outliers sit.

Everything is quantized, without repairs.  Reads ``bundles/fp32``, ``build/calibration`` and the
sentences of ``conf/search``, and from ``reports/fusion.json`` what fusing made even; writes
``reports/sensitivity.{json,md,png}``.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

from rich.console import Console

from pipeline.config import Params
from pipeline.quantization.calibration.recorder import PROVIDERS
from pipeline.quantization.config import Int8Config
from pipeline.quantization.kv_cache import CacheConfig
from pipeline.report.gates import GateConfig
from pipeline.report.rows import read_report
from pipeline.report.write import report_context, write_report
from pipeline.search.effect import measured_effects
from pipeline.search.evaluate import Evaluator, opened_evaluator
from pipeline.search.judge import COMPONENTS
from pipeline.search.space import everything_quantized
from pipeline.sensitivity.heatmap import draw_heat
from pipeline.sensitivity.noise import LayerNoise, layer_noise
from pipeline.sensitivity.outliers import phase_ranges
from pipeline.sensitivity.report import heats, sections, sensitivity_rows
from pipeline.stages._runner import stage_main

REPORT, FUSION = Path("reports/sensitivity.json"), Path("reports/fusion.json")
HEADING = "Static INT8, block by projection: dark is worse"
RECORDINGS = 4
"""Recordings that SQNR is taken over: its mean over positions settles long before."""


def run(params: Params, workspace: Path) -> None:
    """See the module's docstring.

    Raises:
        ConfigError: the sentences, the gates or the target are wrong.
        BundleError: there is no FP32 bundle.
        QuantizationError: there is no calibration of it.
        PipelineError: there is no report of the fuse stage.
    """
    few = min(params.search.prompts, params.search.sensitivity_prompts)
    search = replace(params.search, prompts=few, gates=[])
    # Layers are compared one by one on the same inputs, and a float cache is one of them.
    int8 = replace(params.precision.int8, cache=CacheConfig())
    config = everything_quantized(int8)
    # how much is lost, not whether gates are kept
    no_gates: dict[str, list[GateConfig]] = {search.variant: []}
    with (
        opened_evaluator(workspace, search, config, no_gates, params.seed) as evaluator,
        Console(stderr=True).status("sensitivity") as status,
    ):
        fused = read_report(workspace / FUSION).rows
        effects: dict[str, dict[str, float]] = {}
        for component in COMPONENTS:
            if "+" not in component:
                status.update(f"sensitivity: {component}, one layer at a time")
                effects[component] = measured_effects(evaluator, config, component)
        noise: list[LayerNoise] = []
        for graph, info in evaluator.builder.manifest.graphs.items():
            status.update(f"sensitivity: {graph}, signal to noise")
            noise += _noise(evaluator, graph, info.file, config)
        ranges = list(phase_ranges(evaluator.builder.statistics, evaluator.layers))
        manifest = evaluator.builder.manifest
    context = report_context(
        manifest.checkpoint, PROVIDERS, target=config.target, calibrator=config.calibrator,
        prompts=few, recordings=RECORDINGS,
    )  # fmt: skip
    rows = sensitivity_rows(effects, noise, ranges)
    write_report(
        workspace / REPORT,
        context,
        rows,
        title="Sensitivity to static INT8",
        sections=sections(context, effects, noise, ranges, fused),
        picture=True,
    )
    draw_heat((workspace / REPORT).with_suffix(".png"), HEADING, heats(rows))


def _noise(evaluator: Evaluator, graph: str, file: str, config: Int8Config) -> list[LayerNoise]:
    builder = evaluator.builder
    folder = evaluator.build(config, evaluator.scratch / "noise", [graph])
    return layer_noise(
        graph, builder.source / file, folder / file, builder.statistics[graph], config,
        islice(builder.feeds(graph), RECORDINGS),
    )  # fmt: skip


if __name__ == "__main__":
    stage_main("sensitivity", run)
