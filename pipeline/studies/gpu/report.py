"""The report of a check: rows, Markdown with the comparison on top, a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnxruntime as ort

from chattts_onnx.format.manifest import Manifest
from pipeline.benchmark.bandwidth import cache_bytes, step_bytes
from pipeline.benchmark.engine import REFERENCE
from pipeline.benchmark.report import article_table, draw_benchmark
from pipeline.benchmark.summary import summarize
from pipeline.report.machine import machine_context, tool_versions
from pipeline.report.rows import Row, find_value, make_row, select
from pipeline.report.write import format_value, markdown_table, write_report
from pipeline.studies.gpu.device import describe
from pipeline.studies.gpu.runner import DONE, Runner
from pipeline.studies.gpu.setup import Setup

COPY = "copy_bandwidth"


def write(out: Path, setups: Sequence[Setup], runner: Runner) -> None:
    """Write ``gpu.json``, ``gpu.md`` and, where matplotlib is there, ``gpu.png``."""
    device = setups[0].device
    context: dict[str, Any] = {
        **describe(device),
        "machine": machine_context(),
        # The module's own word: a machine may hold metadata of several builds.
        "versions": {**tool_versions(), "onnxruntime": ort.__version__},
        "tasks": [outcome.as_dict() for outcome in runner.outcomes],
    }
    title = "GPU check" if device == "cuda" else "GPU check, rehearsed on the CPU"
    rows, sections = list(runner.rows), []
    config = setups[0].size.config()
    for setup in setups:
        if setup.checkpoint not in runner.samples:
            continue
        timed = summarize(runner.samples[setup.checkpoint])
        timed += bandwidth_rows(timed, setup, find_value(rows, "machine", COPY))
        name = setup.checkpoint
        sections += [
            f"## Speed, {name}\n\n{_speed_table(timed)}",
            f"## From text to sound, {name}\n\n{article_table(timed, config)}",
        ]
        if setup == setups[0]:
            with suppress(ImportError):
                draw_benchmark(out / "gpu.png", timed, config)
        rows += [{**row, "checkpoint": name} for row in timed]
    unfinished = [outcome for outcome in runner.outcomes if outcome.status != DONE]
    if unfinished:
        listed = "\n".join(f"- {o.task}: {o.status} after {o.seconds:.0f} s" for o in unfinished)
        sections.append(f"## Not finished\n\n{listed}")
    write_report(out / "gpu.json", context, rows, title=title, sections=sections)


def bandwidth_rows(rows: Sequence[Row], setup: Setup, bandwidth: float | None) -> Iterator[Row]:
    """Share of the measured GB/s that the bytes of a bundle's steps, weights and cache, take."""
    for row in select(rows, "steps_per_second"):
        folder = setup.bundle(str(row["variant"]).partition(":")[0])
        if not bandwidth or not folder.exists():
            continue
        manifest = Manifest.load(folder, verify=False)
        batch, length = row["batch"], row["length"]
        moved = step_bytes(folder / manifest.graph("gpt").file)
        moved += cache_bytes(manifest.model, batch, length)
        share = row["value"] / batch * moved / (bandwidth * 1e9)
        yield make_row(row["variant"], "bandwidth_share", share, "", batch=batch, length=length)


def _speed_table(rows: Sequence[Row]) -> str:
    """Steps a second beside the eager FP32 reference, and the share of the measured bandwidth."""
    lines = []
    for row in select(rows, "steps_per_second"):
        engine, where = row["variant"], {"batch": row["batch"], "length": row["length"]}
        ratio = find_value(rows, engine, "steps_per_second_ratio", **where)
        share = find_value(rows, engine, "bandwidth_share", **where)
        lines.append([engine, *map(format_value, (*where.values(), row["value"], ratio, share))])
    header = ["engine", "batch", "length", "steps/s", f"× {REFERENCE}", "of bandwidth"]
    return markdown_table(header, lines)
