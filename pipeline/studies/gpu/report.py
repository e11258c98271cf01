"""The report of a check: rows, Markdown with the comparison on top, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

from pipeline.report.machine import machine_context, tool_versions
from pipeline.report.rows import Row
from pipeline.report.write import format_value, markdown_table, write_report
from pipeline.studies.gpu.device import describe
from pipeline.studies.gpu.runner import Outcome
from pipeline.studies.gpu.setup import Setup

BASELINE = "torch_fp32"
COPY = "copy_bandwidth"
ENGINE = ("variant", "mode")


def write(out: Path, setup: Setup, rows: Sequence[Row], outcomes: Sequence[Outcome]) -> None:
    """Write ``gpu.json``, ``gpu.md`` and, where matplotlib is there, ``gpu_*.png``."""
    context: dict[str, Any] = {
        **describe(setup),
        "machine": machine_context(),
        # The module's own word: a machine may hold metadata of several builds.
        "versions": {**tool_versions(), "onnxruntime": ort.__version__},
        "tasks": [outcome.as_dict() for outcome in outcomes],
    }
    title = "GPU check" if setup.device == "cuda" else "GPU check, rehearsed on the CPU"
    sections = [_speed_table(rows, name) for name in _checkpoints(rows)]
    unfinished = [outcome for outcome in outcomes if outcome.status != "done"]
    if unfinished:
        listed = "\n".join(f"- {o.task}: {o.status} after {o.seconds:.0f} s" for o in unfinished)
        sections.append(f"## Not finished\n\n{listed}")
    write_report(out / "gpu.json", context, rows, title=title, sections=sections)
    from pipeline.studies.gpu.picture import draw

    draw(out, rows)


def _checkpoints(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(r["checkpoint"] for r in rows if r["metric"] == "steps_per_second"))


def _speed_table(rows: Sequence[Row], checkpoint: str) -> str:
    """Steps a second beside eager PyTorch FP32, and the share of the measured bandwidth."""
    speeds = [
        r for r in rows if r["metric"] == "steps_per_second" and r["checkpoint"] == checkpoint
    ]
    base = {_place(r): r["value"] for r in speeds if r["variant"] == BASELINE}
    copy = next((r["value"] for r in rows if r["metric"] == COPY), None)
    moved = {(_engine(r), _place(r)): r["value"] for r in rows if r["metric"] == "bytes_per_second"}
    lines = []
    for row in speeds:
        place, rate = _place(row), moved.get((_engine(row), _place(row)))
        ratio = row["value"] / base[place] if base.get(place) else None
        share = rate / copy if rate is not None and copy else None
        numbers = (row["batch"], row["length"], row["value"], ratio, share)
        lines.append([row["variant"], row["mode"], *map(format_value, numbers)])
    header = ["engine", "mode", "batch", "length", "steps/s", f"× {BASELINE}", "of bandwidth"]
    return f"## Speed, {checkpoint}\n\n{markdown_table(header, lines)}"


def _place(row: Row) -> tuple[Any, ...]:
    return row["checkpoint"], row["batch"], row["length"]


def _engine(row: Row) -> tuple[Any, ...]:
    return tuple(row[key] for key in ENGINE)
