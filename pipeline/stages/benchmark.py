"""Time every bundle and the eager PyTorch reference, side by side.

Reads ``build/checkpoint`` and ``bundles/<variant>``; writes ``reports/benchmark.{json,md,png}``
and ``build/benchmark.json``, which says what machine the figures are of and stays out of git: in
a fresh clone it is missing, so that DVC measures there instead of showing another machine's.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from chattts_onnx.format.manifest import Manifest
from chattts_onnx.graphs.sessions import available_cores
from pipeline.benchmark.client import Worker
from pipeline.benchmark.config import BenchmarkConfig
from pipeline.benchmark.engine import REFERENCE, EngineSpec
from pipeline.benchmark.harness import Runner, Samples, progress_total, run_rounds
from pipeline.benchmark.kernels import time_rows
from pipeline.benchmark.latency import latency_section, measure_latency
from pipeline.benchmark.plan import make_plan
from pipeline.benchmark.report import draw_benchmark, sections
from pipeline.benchmark.summary import summarize
from pipeline.checkpoint.record import read_record
from pipeline.config import Params
from pipeline.core.atomic import write_json
from pipeline.core.progress import progress_bar
from pipeline.graphs.products import ARITHMETIC, product_table
from pipeline.report.machine import idle_load, machine_context, machine_load
from pipeline.report.write import report_context, write_report
from pipeline.stages._runner import stage_main

CHECKPOINT = Path("build/checkpoint")
BUNDLES = Path("bundles")
REPORT = Path("reports/benchmark.json")
MARKER = Path("build/benchmark.json")


def run(params: Params, workspace: Path) -> None:
    """See the module's docstring.

    Raises:
        BundleError: a variant's bundle is missing.
        BenchmarkError: an engine cannot be opened or measured.
    """
    config = params.benchmark
    for variant in config.variants:
        Manifest.load(workspace / BUNDLES / variant, verify=False)
    threads = config.threads or available_cores()
    before = idle_load(config.idle_seconds)
    samples = measure(engines(config, workspace, threads, params.seed), config)
    load = max((found for found in (before, machine_load()) if found is not None), default=None)
    rows = summarize(samples)
    bundles = {variant: workspace / BUNDLES / variant for variant in config.variants}
    waits = measure_latency(bundles, threads)
    forms = [row for name, path in bundles.items() for row in time_rows(name, path, threads)]
    context = report_context(
        asdict(read_record(workspace / CHECKPOINT)),
        sorted({str(entry["provider"]) for entry in samples.descriptions.values()}),
        threads=threads,
        load=load,
        engines=samples.descriptions,
        rounds=config.rounds,
        sentence=config.sentence,
        seed=params.seed,
    )
    blocks = sections(rows, context, config)
    if waits:
        blocks.insert(-1, latency_section(waits))
        blocks.insert(-1, f"## {ARITHMETIC}\n\n{product_table(forms)}")
    everything = [*rows, *waits, *forms]
    write_report(
        workspace / REPORT, context, everything, title="Benchmark", sections=blocks, picture=True
    )
    draw_benchmark((workspace / REPORT).with_suffix(".png"), rows, config)
    write_json(workspace / MARKER, {"machine": machine_context()})


def engines(config: BenchmarkConfig, workspace: Path, threads: int, seed: int) -> list[EngineSpec]:
    """The engines to time, the reference first."""
    found = [
        EngineSpec(variant, "bundle", str(workspace / BUNDLES / variant), threads, seed)
        for variant in config.variants
    ]
    if config.reference:
        checkpoint = str(workspace / CHECKPOINT)
        found.insert(0, EngineSpec(REFERENCE, "reference", checkpoint, threads, seed))
    return found


def measure(specs: list[EngineSpec], config: BenchmarkConfig) -> Samples:
    """Start a worker for each engine, run the plan, stop them."""
    plan = make_plan(config)
    total = progress_total(len(specs), plan, config.rounds)
    with ExitStack() as stack, progress_bar("benchmark", total) as advance:
        workers: dict[str, Runner] = {}
        for spec in specs:
            workers[spec.name] = stack.enter_context(Worker(spec, config.worker_seconds))
        return run_rounds(workers, plan, config.rounds, config.measurement_seconds, advance)


if __name__ == "__main__":
    stage_main("benchmark", run)
