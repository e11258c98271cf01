"""Every variant beside the official package, in one run: ``python -m pipeline.studies.peer``.

Works in a workspace that holds ``build/checkpoint`` and bundles; both sides read that checkpoint.
Writes ``peer.json``, ``.md`` and ``.png`` with the columns of the other reports and ``engine``:
``official``, ``reference`` (our FP32 modules in eager PyTorch) or ``ours``.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chattts_onnx import open_bundle
from chattts_onnx.graphs.sessions import available_cores
from pipeline.benchmark.bandwidth import read_bandwidth, step_bytes
from pipeline.benchmark.client import COMMAND, Worker
from pipeline.benchmark.config import BenchmarkConfig
from pipeline.benchmark.engine import REFERENCE, EngineSpec
from pipeline.benchmark.harness import Runner, Samples, progress_total, run_rounds
from pipeline.benchmark.plan import make_plan
from pipeline.benchmark.summary import summarize
from pipeline.checkpoint.record import read_record
from pipeline.core.command import command
from pipeline.core.errors import BenchmarkError
from pipeline.core.progress import progress_bar
from pipeline.core.source import read_source
from pipeline.core.strict import parse_strictly, read_yaml
from pipeline.reference.model import load_reference
from pipeline.report.machine import idle_load
from pipeline.report.rows import Row, find_value, make_row
from pipeline.report.write import report_context, write_report
from pipeline.studies.peer.parity import official_outputs, parity_rows
from pipeline.studies.peer.report import OFFICIAL, draw_peer, peer_sections

PARITY_STEPS = 12


def run(workspace: Path, python: Path, config: BenchmarkConfig, report: Path, seed: int) -> None:
    """Measure, compare and write the report.

    Args:
        workspace: folder with ``build/checkpoint`` and ``bundles/<variant>``.
        python: interpreter of the environment that ``peer/install.sh`` makes.
        config: what to measure.
        report: JSON to write.
        seed: of voices, codes and sampling.

    Raises:
        BenchmarkError: an engine cannot be opened or measured.
        BundleError: a variant's bundle is missing.
    """
    checkpoint, threads = workspace / "build" / "checkpoint", config.threads or available_cores()
    if not python.is_file():
        raise BenchmarkError(
            f"found no interpreter {python}, expected the official package's environment; "
            "make it with peer/install.sh"
        )
    load, bandwidth = idle_load(config.idle_seconds), read_bandwidth(threads)
    samples = measure(workspace, python, config, threads, seed)
    rows = summarize(samples, OFFICIAL)
    rows += bandwidth_rows(rows, workspace, config, bandwidth)
    rows += compare(workspace, python, config)
    context = report_context(
        asdict(read_record(checkpoint)),
        sorted({str(entry["provider"]) for entry in samples.descriptions.values()}),
        commit=str(read_source(Path(__file__).parent)),
        threads=threads,
        load=load,
        engines=samples.descriptions,
        rounds=config.rounds,
        sentence=config.sentence,
        memory_bytes_per_second=bandwidth,
        seed=seed,
    )
    rows = [{**row, "engine": engine_of(str(row["variant"]))} for row in rows]
    blocks = peer_sections(rows, context, config)
    write_report(
        report, context, rows, title="Beside the official package", sections=blocks, picture=True
    )
    draw_peer(report.with_suffix(".png"), rows, config)


def engine_of(variant: str) -> str:
    """Whose implementation a row's variant is."""
    return variant if variant in (OFFICIAL, REFERENCE) else "ours"


def measure(
    workspace: Path, python: Path, config: BenchmarkConfig, threads: int, seed: int
) -> Samples:
    """Run the plan on the official package, the reference and every variant, in turns."""
    checkpoint = str(workspace / "build" / "checkpoint")
    official = (str(python), "-m", "peer.official")
    specs = [
        (EngineSpec(OFFICIAL, OFFICIAL, checkpoint, threads, seed), official),
        (EngineSpec(REFERENCE, REFERENCE, checkpoint, threads, seed), COMMAND),
        *(
            (EngineSpec(v, "bundle", str(workspace / "bundles" / v), threads, seed), COMMAND)
            for v in config.variants
        ),
    ]  # fmt: skip
    plan = make_plan(config)
    total = progress_total(len(specs), plan, config.rounds)
    with ExitStack() as stack, progress_bar("benchmark", total) as advance:
        workers: dict[str, Runner] = {
            spec.name: stack.enter_context(Worker(spec, config.worker_seconds, command))
            for spec, command in specs
        }
        return run_rounds(workers, plan, config.rounds, config.measurement_seconds, advance)


def bandwidth_rows(
    rows: list[Row], workspace: Path, config: BenchmarkConfig, bandwidth: float
) -> list[Row]:
    """Share of the memory-bandwidth limit that each engine's steps at batch 1 reach.

    The two PyTorch engines read the FP32 weights that the fused FP32 graph holds.
    """
    found = []
    for variant in (OFFICIAL, REFERENCE, *config.variants):
        graph = variant if variant in config.variants else "fp32"
        path = workspace / "bundles" / graph / "gpt.onnx"
        if not path.exists():
            continue
        limit = bandwidth / step_bytes(path)
        for length in config.lengths:
            steps = find_value(rows, variant, "steps_per_second", **_decode(rows, variant, length))
            if steps is not None:
                share = steps / limit
                found.append(make_row(variant, "bandwidth_share", share, "", length=length))
    return found


def _decode(rows: list[Row], variant: str, length: int) -> dict[str, Any]:
    """All conditions of the row of that length at batch 1."""
    keys = ("variant", "metric", "value")
    for row in rows:
        wanted = (row["variant"], row["metric"], row.get("batch"), row.get("length"))
        if wanted == (variant, "steps_per_second", 1, length):
            return {key: value for key, value in row.items() if key not in keys}
    return {"length": length}


def compare(workspace: Path, python: Path, config: BenchmarkConfig) -> list[Row]:
    """Errors of the reference and of every variant against the official outputs."""
    checkpoint = workspace / "build" / "checkpoint"
    official = official_outputs(python, checkpoint, PARITY_STEPS)
    rows = parity_rows(REFERENCE, load_reference(checkpoint), official)
    for variant in config.variants:
        rows += parity_rows(variant, open_bundle(workspace / "bundles" / variant), official)
    return rows


@command("peer")
def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Time every variant beside the official package.")
    parser.add_argument("--workspace", type=Path, default=Path())
    parser.add_argument("--python", type=Path, default=Path(".venv-peer/bin/python"))
    parser.add_argument("--config", type=Path, default=Path("conf/benchmark/peer.yaml"))
    parser.add_argument("--report", type=Path, default=Path("reports/peer.json"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    config = parse_strictly(read_yaml(options.config), BenchmarkConfig)
    # not resolved: a virtual environment's interpreter is a link
    python = Path.cwd() / options.python
    run(options.workspace, python, config, options.report, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
