"""Pictures of a check, where matplotlib is installed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from pipeline.report.figure import OTHERS, legend_below, new_figure, save_figure, style
from pipeline.report.rows import Row, select

Curves = dict[str, list[tuple[float, float]]]


def draw(out: Path, rows: Sequence[Row]) -> list[Path]:
    """``gpu_batch.png`` and ``gpu_length.png``: steps a second; returns what was written."""
    if find_spec("matplotlib") is None:
        return []
    speeds = select(rows, "steps_per_second")
    if not speeds:
        return []
    checkpoint = speeds[0]["checkpoint"]
    speeds = select(speeds, checkpoint=checkpoint)
    shortest = min(r["length"] for r in speeds)
    smallest = min(r["batch"] for r in speeds)
    by_batch = _curves([r for r in speeds if r["length"] == shortest], "batch")
    by_length = _curves([r for r in speeds if r["batch"] == smallest], "length")
    return [
        _plot(out / "gpu_batch.png", by_batch, f"{checkpoint}, length {shortest}", "batch"),
        _plot(out / "gpu_length.png", by_length, f"{checkpoint}, batch {smallest}", "length"),
    ]


def _curves(rows: Sequence[Row], axis: str) -> Curves:
    curves: Curves = defaultdict(list)
    for row in rows:
        curves[f"{row['variant']}, {row['mode']}"].append((row[axis], row["value"]))
    return curves


def _plot(path: Path, curves: Curves, title: str, axis: str) -> Path:
    figure = new_figure(7, 4.8)
    plot = figure.add_subplot()
    for place, (name, points) in enumerate(curves.items()):
        x, y = zip(*sorted(points), strict=True)
        plot.plot(x, y, marker="o", label=name, color=OTHERS[place % len(OTHERS)],
                  linestyle="--" if "torch" in name else "-")  # fmt: skip
    plot.set_xscale("log", base=2)
    plot.set_yscale("log")
    style(plot, title, "steps/s, all rows together", "higher")
    plot.set_xlabel(axis, fontsize=8)
    legend_below(figure)
    save_figure(figure, path)
    return path
