"""The load test as a picture: waiting times of the runs, and the soak over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.report.figure import (
    INK,
    OTHERS,
    legend_below,
    new_figure,
    save_figure,
    style,
)
from pipeline.report.write import shown_unit
from pipeline.studies.load.analysis import variant_name
from pipeline.studies.load.config import LoadConfig
from pipeline.studies.load.measure import CONTINUOUS, RAMP, SOAK, Run


def draw_load(path: Path, runs: Sequence[Run], config: LoadConfig) -> None:
    """Draw the PNG ``path``: a row of ramps, and a row of the soak where there is one."""
    ramps = [run for run in runs if run.kind == RAMP]
    soak = next((run for run in runs if run.kind == SOAK), None)
    title = f"{config.users} users, {config.spawn_rate:g} more each second"
    figure = new_figure(12.6, 7.6 if soak else 4.2, title)
    grid = figure.add_gridspec(2 if soak else 1, 3)
    for place, key, title in (
        (0, "first_audio", "first audio"),
        (1, "total", "whole answer"),
    ):
        _shares(figure.add_subplot(grid[0, place]), ramps, key, title, config)
    _memory(figure.add_subplot(grid[0, 2]), ramps, "memory of the server", 1.0)
    if soak:
        _points(figure.add_subplot(grid[1, :2]), soak, config)
        _memory(figure.add_subplot(grid[1, 2]), [soak], "memory over the soak", 60.0)
    legend_below(figure)
    save_figure(figure, path)


def _shares(axes: Any, runs: Sequence[Run], key: str, title: str, config: LoadConfig) -> None:
    """Share of requests that waited at most so long."""
    from matplotlib.ticker import LogLocator, NullLocator

    for run, colour in zip(runs, OTHERS, strict=False):
        values = sorted(r[key] for r in run.requests if r["error"] is None)
        shares = [(place + 1) / len(values) for place in range(len(values))]
        axes.step(values, shares, where="post", label=variant_name(run), color=colour)
    if key == "first_audio":
        axes.axvline(config.gates.first_audio_p99_seconds, color=INK, linestyle=":", linewidth=1)
    axes.axhline(0.99, color=INK, linestyle=":", linewidth=1)
    axes.set_xscale("log")
    # plain seconds, few enough not to overlap
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    style(axes, f"{title}: share of requests that waited at most so long")
    axes.set_xlabel("s, left is better", fontsize=8)


def _memory(axes: Any, runs: Sequence[Run], title: str, unit: float) -> None:
    shown, factor = shown_unit([memory for run in runs for _, memory, _ in run.server], "B")
    for run, colour in zip(runs, OTHERS, strict=False):
        times = [at / unit for at, _, _ in run.server]
        values = [memory * factor for _, memory, _ in run.server]
        label = variant_name(run)
        axes.plot(times, values, label=label, color=colour, linewidth=1)
    style(axes, title, shown, "lower")
    axes.set_xlabel("min" if unit > 1 else "s", fontsize=8)
    axes.set_ylim(bottom=0)


def _points(axes: Any, run: Run, config: LoadConfig) -> None:
    """First audio of every request of the soak."""
    began = min(request["at"] for request in run.requests)
    good = [request for request in run.requests if request["error"] is None]
    times = [(request["at"] - began) / 60 for request in good]
    values = [request["first_audio"] for request in good]
    axes.scatter(times, values, s=3, color=OTHERS[0])
    limit = config.gates.first_audio_p99_seconds
    axes.axhline(limit, color=INK, linestyle=":", linewidth=1)
    label = run.target if run.system == CONTINUOUS else variant_name(run)
    style(axes, f"first audio over the soak, {label}", "s", "lower")
    axes.set_xlabel("min", fontsize=8)
    axes.set_ylim(bottom=0)
