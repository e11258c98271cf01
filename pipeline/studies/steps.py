"""Decoding steps side by side: ``python -m pipeline.studies.steps``.

Every variant by the compiled library and by ONNX Runtime, the official package, and OpenVINO and
llama.cpp with weights of the same sizes, in processes that take turns.  Rows with ``swept`` read as
many bytes between steps, untimed: a server's large cache, which others fill meanwhile, flatters
small weights.  Two processes of an engine then run at once on the same cores.
Engines whose environment is not there are left out, and the report says so.  Writes
``reports/steps.{json,md}``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from chattts_onnx import open_bundle
from chattts_onnx.graphs.sessions import available_cores
from chattts_onnx.native.choice import INSTRUCTIONS_VARIABLE, NATIVE, ORT, STEP_VARIABLE
from chattts_onnx.native.library import UnavailableError, instructions, load
from pipeline.benchmark.bandwidth import cache_bytes, read_bandwidth, step_bytes
from pipeline.benchmark.client import COMMAND, Worker
from pipeline.benchmark.engine import EngineSpec
from pipeline.benchmark.harness import Runner, Samples, progress_total, run_rounds
from pipeline.benchmark.plan import DECODE, Measurement
from pipeline.benchmark.summary import summarize
from pipeline.checkpoint.record import read_record
from pipeline.core.command import command
from pipeline.core.errors import BenchmarkError
from pipeline.core.progress import progress_bar
from pipeline.core.source import read_source
from pipeline.report.machine import busy_note, machine_load
from pipeline.report.rows import Row, Rows, find_value, make_row, variants_of
from pipeline.report.write import format_value, markdown_table, report_context, write_report

VARIANTS = ("int8", "w8", "w4")
CASES = ((1, 64), (1, 512), (1, 2048), (8, 128))
"""(rows, positions in the cache)"""
PAIR = {"batch": 1, "length": 512}
"""What each of two processes runs at once."""
SWEPT = 2**28
"""Bytes: several times as many as any shared cache holds."""
OFFICIAL = "official"
PEERS = {
    OFFICIAL: ("peer.official", ".venv-peer"),
    "openvino-int8": ("peer.openvino_step", ".venv-openvino"),
    "openvino-int4": ("peer.openvino_step", ".venv-openvino"),
    "llama.cpp-q8": ("peer.llama_step", ".venv-llama"),
    "llama.cpp-q4": ("peer.llama_step", ".venv-llama"),
}
"""Engines of others: the module that serves each, and the environment that it is run in."""
SECONDS = 900.0
LIMIT = 20.0
NARROW = "avx2"
"""Instructions that the library is measured with, too: what older processors have."""
ALONE = ", 1 thread"

NOTES = """\
- `native` is the compiled library, also with the instructions of older processors alone (`avx2`),
  `ort` ONNX Runtime over the same bundle; both with sampling and bookkeeping, as users wait for
  them, and so is the official package, in FP32. OpenVINO's and llama.cpp's rows have random weights
  of the same sizes, and neither sampling nor ChatTTS's embeddings; llama.cpp's cache is of 16 bits,
  its default.
- Engines take turns; values are medians over rounds. `swept` rows read 256 MiB between steps,
  outside the time; the official package does not.
- `two processes`: steps a second of both together, each with as many threads as one alone has; far
  below the row alone, threads wait for each other's cores.
- `of limit`: the step's weights and cache over the bandwidth that a sum over 1 GiB reached on the
  same threads, divided by its time."""


Engines = list[tuple[EngineSpec, Sequence[str]]]


def engines(workspace: Path, variants: Sequence[str], threads: int, seed: int) -> Engines:
    """What is there to be measured, with the command that opens it."""
    found: Engines = []
    for variant in variants:
        bundle = str(workspace / "bundles" / variant)
        for name, (count, variables) in forms(threads).items():
            spec = EngineSpec(f"{variant} {name}", "bundle", bundle, count, seed)
            settings = (f"{key}={value}" for key, value in variables.items())
            found.append((spec, ("env", *settings, *COMMAND)))
    for kind, (module, environment) in PEERS.items():
        # not resolved: a virtual environment's interpreter is a link
        python = Path.cwd() / environment / "bin" / "python"
        if not python.is_file():
            continue
        path = workspace / ("build/checkpoint" if kind == OFFICIAL else f"bundles/{variants[0]}")
        spec = EngineSpec(kind, kind, str(path.absolute()), threads, seed)
        found.append((spec, (str(python), "-m", module)))
    return found


def forms(threads: int) -> dict[str, tuple[int, dict[str, str]]]:
    """What runs a bundle's steps here, by name: threads, and the environment that asks for it."""
    found = {}
    for step in (NATIVE, ORT):
        if step == NATIVE and not _compiled(None):
            continue
        found[step] = threads, {STEP_VARIABLE: step}
        if step == NATIVE and _compiled(NARROW):
            found[f"{step}, {NARROW}"] = (
                threads,
                {STEP_VARIABLE: step, INSTRUCTIONS_VARIABLE: NARROW},
            )
        if threads > 1:
            found[step + ALONE] = 1, {STEP_VARIABLE: step}
    return found


def _compiled(wanted: str | None) -> bool:
    try:
        return bool(instructions(load(), wanted))
    except UnavailableError:
        return False


def plan(steps: int, swept: int) -> list[Measurement]:
    """Decoding at every case; ``swept`` bytes are read between steps."""
    further = {"swept": swept} if swept else {}
    return [
        Measurement(
            "decode",
            {"batch": batch, "length": length, "steps": steps, **further},
            DECODE,
            {"batch": batch, "length": length, **further},
        )
        for batch, length in CASES
        if not swept or batch == 1
    ]


def measure(found: Engines, measurements: list[Measurement], rounds: int) -> Samples:
    """All of it in rounds."""
    total = progress_total(len(found), measurements, rounds)
    with ExitStack() as stack, progress_bar("steps", total) as advance:
        workers: dict[str, Runner] = {
            spec.name: stack.enter_context(Worker(spec, SECONDS, opened)) for spec, opened in found
        }
        return run_rounds(workers, measurements, rounds, LIMIT, advance)


def pairs(found: Engines, steps: int, rounds: int) -> Iterator[Row]:
    """Steps a second of two processes of an engine at once, both together."""
    arguments = {**PAIR, "steps": steps}
    for spec, opened in found:
        with ExitStack() as stack:
            both = [stack.enter_context(Worker(spec, SECONDS, opened)) for _ in range(2)]
            pool = stack.enter_context(ThreadPoolExecutor(2))
            rates = []
            for _ in range(rounds + 1):
                waiting = [pool.submit(worker.measure, "decode", arguments) for worker in both]
                timings = [future.result() for future in waiting]
                rates.append(sum(timing.steps / timing.seconds for timing in timings))
        yield make_row(
            spec.name, "steps_per_second", median(rates[1:]), "steps/s", **PAIR, processes=2
        )


def shares(rows: Rows, workspace: Path, bandwidth: float) -> Iterator[Row]:
    """The share of what memory gives that the bundles' steps of one row reach."""
    for name in variants_of(rows):
        folder = workspace / "bundles" / name.split()[0]
        if name.endswith(ALONE) or not (folder / "gpt.onnx").is_file():
            continue
        model, weights = open_bundle(folder, verify=False).model, step_bytes(folder / "gpt.onnx")
        for batch, length in CASES:
            rate = find_value(rows, name, "steps_per_second", batch=batch, length=length)
            if rate is not None and batch == 1:
                limit = bandwidth / (weights + cache_bytes(model, batch, length))
                yield make_row(name, "bandwidth_share", rate / limit, "", length=length)


def sections(rows: Rows, context: dict[str, Any]) -> list[str]:
    """Markdown blocks of the report."""
    header = ["engine", *(f"{batch} × {length}" for batch, length in CASES)]
    header.append(f"{PAIR['length']}, two processes")
    header += [f"{length}, swept" for batch, length in CASES if batch == 1]
    header += [f"{length}, of limit" for batch, length in CASES if batch == 1]
    lines = []
    for name in variants_of(rows):
        values = [_rate(rows, name, batch, length, 0) for batch, length in CASES]
        values.append(_rate(rows, name, PAIR["batch"], PAIR["length"], 0, processes=2))
        alone = [length for batch, length in CASES if batch == 1]
        values += [_rate(rows, name, 1, length, SWEPT) for length in alone]
        values += [find_value(rows, name, "bandwidth_share", length=length) for length in alone]
        lines.append([name, *(format_value(value) for value in values)])
    missing = [kind for kind in PEERS if kind not in variants_of(rows)]
    blocks = busy_note(context)
    blocks.append(f"Memory: {context['memory_bytes_per_second'] / 1e9:.1f} GB/s.")
    if missing:
        blocks.append(f"Not there, so not measured: {', '.join(missing)}.")
    blocks.append(
        f"## Steps a second of all rows, by rows × positions\n\n{markdown_table(header, lines)}"
    )
    return [*blocks, f"## How it is measured\n\n{NOTES}"]


def _rate(
    rows: Rows, name: str, batch: int, length: int, swept: int, processes: int = 1
) -> float | None:
    wanted = (name, "steps_per_second", batch, length, swept, processes)
    for row in rows:
        place = (row["variant"], row["metric"], row.get("batch"), row.get("length"))
        if (*place, row.get("swept", 0), row.get("processes", 1)) == wanted:
            return float(row["value"])
    return None


@command("steps")
def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Time the decoding step beside other engines.")
    parser.add_argument("--workspace", type=Path, default=Path())
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    parser.add_argument("--report", type=Path, default=Path("reports/steps.json"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    threads, load = available_cores(), machine_load()
    bandwidth = read_bandwidth(threads)
    found = engines(options.workspace, options.variants, threads, options.seed)
    samples = measure(found, plan(options.steps, 0), options.rounds)
    rows = summarize(samples, OFFICIAL)
    able = [engine for engine in found if engine[0].kind != OFFICIAL]
    swept = summarize(measure(able, plan(options.steps, SWEPT), options.rounds), OFFICIAL)
    rows += [row for row in swept if row["metric"] == "steps_per_second"]
    # Before and after, since neighbours on the same machine come and go.
    bandwidth = max(bandwidth, read_bandwidth(threads))
    rows += shares(rows, options.workspace, bandwidth)
    rows += pairs(able, 4 * options.steps, options.rounds)
    if not rows:
        raise BenchmarkError("nothing was measured.")
    context = report_context(
        asdict(read_record(options.workspace / "build" / "checkpoint")), "CPUExecutionProvider",
        threads=threads, load=load, rounds=options.rounds, steps=options.steps,
        engines=samples.descriptions, memory_bytes_per_second=bandwidth, seed=options.seed,
        commit=str(read_source(Path(__file__).parent)),
    )  # fmt: skip
    blocks = sections(rows, context)
    title = "Decoding steps side by side"
    write_report(options.report, context, rows, title=title, sections=blocks)
    return 0


if __name__ == "__main__":
    sys.exit(main())
