"""Pictures of a check, where matplotlib is installed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.report.figure import save_figure
from pipeline.report.rows import Row, select

Curves = dict[str, list[tuple[float, float]]]


def draw(out: Path, rows: Sequence[Row]) -> list[Path]:
    """``gpu_batch.png`` and ``gpu_length.png``: steps a second; returns what was written."""
    try:
        import matplotlib

        matplotlib.use("Agg")
    except ImportError:
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
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    plot: Any = axes
    for name, points in curves.items():
        x, y = zip(*sorted(points), strict=True)
        plot.plot(x, y, marker="o", label=name, linestyle="--" if "torch" in name else "-")
    plot.set_xscale("log", base=2)
    plot.set_yscale("log")
    plot.set(title=title, xlabel=axis, ylabel="steps/s, all rows together")
    plot.grid(True, which="both", alpha=0.3)
    plot.legend(fontsize=8)
    save_figure(figure, path)
    pyplot.close(figure)
    return path
