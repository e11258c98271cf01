"""The load test as a picture: waiting times of the runs, and the soak over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.report.figure import save_figure
from pipeline.studies.load.analysis import variant_name
from pipeline.studies.load.config import LoadConfig
from pipeline.studies.load.measure import CONTINUOUS, RAMP, SOAK, Run

_COLOURS = ("#5e81ac", "#bf616a", "#a3be8c", "#d08770", "#b48ead")
_GATE = "#4c566a"


def draw_load(path: Path, runs: Sequence[Run], config: LoadConfig) -> None:
    """Draw the PNG ``path``: a row of ramps, and a row of the soak where there is one."""
    from matplotlib.figure import Figure

    ramps = [run for run in runs if run.kind == RAMP]
    soak = next((run for run in runs if run.kind == SOAK), None)
    figure = Figure(figsize=(12.6, 7.6 if soak else 4.0), layout="constrained")
    figure.suptitle(f"{config.users} users, {config.spawn_rate:g} more each second")
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
    save_figure(figure, path)


def _shares(axes: Any, runs: Sequence[Run], key: str, title: str, config: LoadConfig) -> None:
    """Share of requests that waited at most so long."""
    for run, colour in zip(runs, _COLOURS, strict=False):
        values = sorted(r[key] for r in run.requests if r["error"] is None)
        shares = [(place + 1) / len(values) for place in range(len(values))]
        axes.step(values, shares, where="post", label=variant_name(run), color=colour)
    if key == "first_audio":
        axes.axvline(config.gates.first_audio_p99_seconds, color=_GATE, linestyle=":", linewidth=1)
    axes.axhline(0.99, color=_GATE, linestyle=":", linewidth=1)
    axes.set_xscale("log")
    axes.set(title=title, xlabel="s", ylabel="share of requests")
    axes.legend(fontsize=7, loc="lower right")


def _memory(axes: Any, runs: Sequence[Run], title: str, unit: float) -> None:
    for run, colour in zip(runs, _COLOURS, strict=False):
        times = [at / unit for at, _, _ in run.server]
        values = [memory / 1e6 for _, memory, _ in run.server]
        label = variant_name(run)
        axes.plot(times, values, label=label, color=colour, linewidth=1)
    axes.set(title=title, xlabel="min" if unit > 1 else "s", ylabel="MB", ylim=(0, None))
    axes.legend(fontsize=7)


def _points(axes: Any, run: Run, config: LoadConfig) -> None:
    """First audio of every request of the soak."""
    began = min(request["at"] for request in run.requests)
    good = [request for request in run.requests if request["error"] is None]
    times = [(request["at"] - began) / 60 for request in good]
    values = [request["first_audio"] for request in good]
    axes.scatter(times, values, s=3, color=_COLOURS[0])
    limit = config.gates.first_audio_p99_seconds
    axes.axhline(limit, color=_GATE, linestyle=":", linewidth=1)
    label = run.target if run.system == CONTINUOUS else variant_name(run)
    axes.set(title=f"first audio over the soak, {label}", xlabel="min", ylabel="s", ylim=(0, None))
