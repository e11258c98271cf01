"""What bounds a decode step: ``python -m pipeline.studies.profile``.

Breaks the step of each variant into kernels by operator (ONNX Runtime's profiler), what the graph
spends between them, and work outside the graph (sampling, bookkeeping), and holds the products
against two limits measured on the same machine in the same run: the time to read the step's weights
and cache from memory, and the time of the same products with weights that stay in the CPU's cache.
Writes ``reports/profile.{json,md}``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnxruntime as ort

from chattts_onnx import Bundle, open_bundle
from chattts_onnx.decoding.batch import Batch
from chattts_onnx.decoding.decoder import Decoder
from chattts_onnx.decoding.request import Request
from chattts_onnx.decoding.slots import SlotDecoder
from chattts_onnx.native.choice import NATIVE
from chattts_onnx.text import Prompt
from pipeline.benchmark.bandwidth import cache_bytes, read_bandwidth, step_parts
from pipeline.benchmark.inputs import fixed_steps, speakers, text_ids
from pipeline.benchmark.kernels import kernels
from pipeline.core.command import command
from pipeline.core.source import read_source
from pipeline.report.machine import machine_load
from pipeline.report.rows import Row, make_row
from pipeline.report.write import report_context, write_report
from pipeline.studies.profile.products import PRODUCTS, cached_rate, multiplications
from pipeline.studies.profile.report import profile_sections

VARIANTS = ("int8", "w8", "w4", "fp32")
CASES = ((1, 512), (1, 2048), (8, 128))
"""(requests in the batch, positions in the cache): the points that the goals name."""
SHORT = 16
"""Positions over which attention costs next to nothing."""
GROUPS = {**dict.fromkeys(PRODUCTS, "products"), "GroupQueryAttention": "attention"}
WARMUP, ROUNDS = 4, 5


def profile(bundle: Bundle, batch: int, length: int, steps: int) -> Iterator[Row]:
    """Milliseconds of one step: the whole, the graph, its kernels by group and by operator.

    Rows ``step_ms`` carry ``part``: ``whole`` (what a user waits for), ``graph`` (ONNX Runtime's
    run), ``host`` (their difference), and the kernels' ``products``, ``attention``, ``others`` and
    ``between`` (the run without any kernel; threads waking, and the profiler itself).
    """
    variant = bundle.manifest.variant
    where = {"requests": batch, "length": length}
    running = _running(bundle, bundle.decoder(batch, _capacity(length, steps)), length, steps)
    times, inside = _step_times(running, steps)
    parts = {
        "whole": times,
        "graph": inside,
        "host": [a - b for a, b in zip(times, inside, strict=True)],
    }
    for part, seconds in parts.items():
        yield _part(variant, part, median(seconds) * 1e3, where)

    def work(session: ort.InferenceSession) -> None:
        decoder = Decoder(session, bundle.model, batch, _capacity(length, steps))
        _step_times(_running(bundle, decoder, length, steps), steps)

    found = kernels(bundle, "gpt", steps, work)
    groups = dict.fromkeys(("products", "attention", "others"), 0.0)
    for operator, milliseconds in found.spent.items():
        groups[GROUPS.get(operator, "others")] += milliseconds
        yield make_row(
            variant, "kernel_ms", milliseconds, "ms",
            operator=operator, calls=found.calls[operator], **where,
        )  # fmt: skip
    groups["between"] = max(0.0, found.run - sum(found.spent.values()))
    for part, milliseconds in groups.items():
        yield _part(variant, part, milliseconds, where)


def library(bundle: Bundle, batch: int, length: int, steps: int) -> Iterator[Row]:
    """Milliseconds of one step by the library: the whole, and the library's run in it.

    ``attended`` is what that run takes longer than one over :data:`SHORT` positions, median over
    alternating rounds: attention.
    """
    if bundle.step.engine != NATIVE:
        return
    far, near = (
        _running(bundle, bundle.decoder(batch, _capacity(n, steps * ROUNDS)), n, steps)
        for n in (length, SHORT)
    )
    whole: list[float] = []
    inside: list[float] = []
    longer: list[float] = []
    for _ in range(ROUNDS):
        times, runs = _step_times(far, max(1, steps // 2), warmup=1)
        short = _step_times(near, max(1, steps // 2), warmup=1)[1]
        whole, inside = whole + times, inside + runs
        longer.append(median(runs) - median(short))
    where = {"requests": batch, "length": length, "instructions": bundle.step.why}
    for part, seconds in {"native": whole, "library": inside, "attended": longer}.items():
        yield _part(bundle.manifest.variant, part, median(seconds) * 1e3, where)


def limits(bundle: Bundle, batch: int, length: int, bandwidth: float) -> Iterator[Row]:
    """The least milliseconds of a step: memory alone, and products alone from the CPU's cache."""
    variant, model = bundle.manifest.variant, bundle.model
    graph = bundle.path / bundle.manifest.graph("gpt").file
    where = {"requests": batch, "length": length}
    parts, cache = step_parts(graph), cache_bytes(model, batch, length)
    weights = sum(parts.values())
    for part, count in parts.items():
        yield make_row(variant, "weight_part_bytes", count, "B", part=part, **where)
    yield make_row(variant, "weight_bytes", weights, "B", **where)
    yield make_row(variant, "cache_bytes", cache, "B", **where)
    memory = {"weights": weights, "cache": cache}
    for name, count in memory.items():
        yield make_row(variant, "memory_ms", count / bandwidth * 1e3, "ms", read=name, **where)
    kinds = multiplications(graph)
    seconds = sum(
        count * batch / cached_rate(kind, batch, bundle.config.threads)
        for kind, count in kinds.items()
    )
    yield make_row(variant, "cached_products_ms", seconds * 1e3, "ms", **where)


def thread_gain(folder: Path, batch: int, length: int, steps: int, threads: int) -> Iterator[Row]:
    """How many times as fast a step is with all threads as with one, in alternating rounds."""
    bundles = [
        open_bundle(folder, threads=count, verify=False, huge_pages=True, step="ort")
        for count in (1, threads)
    ]
    batches = [
        _running(bundle, bundle.decoder(batch, _capacity(length, steps * ROUNDS)), length, steps)
        for bundle in bundles
    ]
    taken: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for own, running in zip(taken, batches, strict=True):
            own.append(median(_step_times(running, max(1, steps // 2), warmup=1)[0]))
    gain = median(one / many for one, many in zip(*taken, strict=True))
    variant = bundles[0].manifest.variant
    yield make_row(
        variant, "thread_gain", gain, "×", threads=threads, requests=batch, length=length
    )


def _part(variant: str, part: str, milliseconds: float, where: dict[str, Any]) -> Row:
    return make_row(variant, "step_ms", milliseconds, "ms", part=part, **where)


def _capacity(length: int, steps: int) -> int:
    return length + 2 * steps + 4 * WARMUP * ROUNDS


def _running(bundle: Bundle, decoder: SlotDecoder, length: int, steps: int) -> Batch:
    """A batch whose every slot has just had its prefill."""
    slots = decoder.cache.slots
    ids = text_ids(bundle.tokenizer, slots, length, bundle.model.num_vq)
    voices = speakers(slots, bundle.model.hidden_size, 0)
    params = fixed_steps(decoder.cache.max_length - length)
    batch = Batch(decoder)
    mask = np.ones(length, dtype=np.bool_)
    batch.add(
        Request(Prompt(row, mask), params, voice, index)
        for index, (row, voice) in enumerate(zip(ids, voices, strict=True))
    )
    batch.step()
    return batch


def _step_times(batch: Batch, steps: int, warmup: int = WARMUP) -> tuple[list[float], list[float]]:
    """Seconds of each whole step, and of the decoder's part, with the draws where it draws."""
    inside: list[float] = []
    decoder: Any = batch.decoder
    originals = {name: getattr(decoder, name) for name in ("step", "draw")}

    def timed(run: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any) -> Any:
            started = time.perf_counter()
            result = run(*arguments)
            if result is not None:
                inside.append(time.perf_counter() - started)
            return result

        return wrapper

    try:
        for name, run in originals.items():
            setattr(decoder, name, timed(run))
        whole = []
        for _ in range(warmup + steps):
            started = time.perf_counter()
            batch.step()
            whole.append(time.perf_counter() - started)
    finally:
        for name, run in originals.items():
            setattr(decoder, name, run)
    return whole[warmup:], inside[warmup:]


def run(workspace: Path, variants: Sequence[str], report: Path, steps: int) -> None:
    """Profile every variant and write the report.

    Raises:
        BundleError: a variant's bundle is missing or damaged.
    """
    rows: list[Row] = []
    load, bandwidth = machine_load(), 0.0
    for variant in variants:
        folder = workspace / "bundles" / variant
        # ONNX Runtime's step has operators to tell apart; the library's is beside it as a whole.
        bundle = open_bundle(folder, verify=False, huge_pages=True, step="ort")
        native = open_bundle(folder, verify=False, step="auto")
        bandwidth = bandwidth or read_bandwidth(bundle.config.threads)
        for batch, length in CASES:
            length = min(length, bundle.model.max_position_embeddings // 2)
            rows += profile(bundle, batch, length, steps)
            rows += library(native, batch, length, steps)
            rows += limits(bundle, batch, length, bandwidth)
            threads = bundle.config.threads
            if threads > 1:
                rows += thread_gain(folder, batch, length, steps, threads)
    context = report_context(
        bundle.manifest.checkpoint, bundle.providers[0], threads=bundle.config.threads,
        load=load, steps=steps, memory_bytes_per_second=bandwidth,
        commit=str(read_source(Path(__file__).parent)),
    )  # fmt: skip
    sections = profile_sections(rows, context)
    write_report(report, context, rows, title="What bounds a step", sections=sections)


@command("profile")
def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Show what a decode step spends its time on.")
    parser.add_argument("--workspace", type=Path, default=Path())
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    parser.add_argument("--report", type=Path, default=Path("reports/profile.json"))
    parser.add_argument("--steps", type=int, default=24)
    options = parser.parse_args(arguments)
    run(options.workspace, options.variants, options.report, options.steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
