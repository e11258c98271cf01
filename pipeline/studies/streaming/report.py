"""The report of :mod:`pipeline.studies.streaming`: a table and a plot of time against steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.report.figure import OTHERS, legend_below, new_figure, save_figure, style, three
from pipeline.report.machine import busy_note
from pipeline.report.rows import Rows, find_value, select
from pipeline.report.write import format_value, markdown_table

NOTES = """\
- Seconds to turn the states of an utterance into audio, without the GPT; the states are random
  numbers, on whose values the work does not depend. Medians over rounds in which the modes take
  turns.
- `windows` is what a stream does: a first chunk of 12 steps, each later one twice as long, 192 at
  most, each with the context that its samples need. `exact` waits for the whole receptive field,
  `look-ahead` for as many steps as the context above says.
- `whole` decodes once, after the last step. `again each 24` is the official schedule: everything
  so far is decoded again each 24 steps. It was run once, and not for the longest utterances.
- `slope` is that of log time over log steps, by least squares: 1 is linear, 2 quadratic.
  `r_squared` is that of a straight line through the times."""


def streaming_section(rows: Rows, context: Mapping[str, Any]) -> list[str]:
    """Markdown blocks of ``streaming.md``."""
    modes = list(dict.fromkeys(str(row["mode"]) for row in rows))
    lengths = sorted({int(row["steps"]) for row in rows if "steps" in row})
    header = ["seconds by steps", *map(str, lengths), "slope", "R²"]
    lines = [
        [
            mode,
            *(_cell(rows, "stream_seconds", mode=mode, steps=steps) for steps in lengths),
            _cell(rows, "slope", mode=mode),
            _cell(rows, "r_squared", mode=mode),
        ]
        for mode in modes
    ]
    blocks = [f"## Cost\n\n{markdown_table(header, lines)}\n\n![](streaming.png)"]
    return [*blocks, *busy_note(context), f"## How it is measured\n\n{NOTES}"]


def draw_streaming(path: Path, rows: Rows) -> None:
    """Draw the PNG: time against steps, straight and with logarithmic axes."""
    figure = new_figure(10.4, 4.2, "Audio of a stream: time against steps")
    for index, log in enumerate((False, True), start=1):
        axes = figure.add_subplot(1, 2, index)
        times = select(rows, "stream_seconds")
        for place, mode in enumerate(dict.fromkeys(str(row["mode"]) for row in times)):
            own = sorted((row["steps"], row["value"]) for row in times if row["mode"] == mode)
            slope = find_value(rows, "", "slope", mode=mode)
            label = mode if slope is None else f"{mode} (slope {three(slope)})"
            axes.plot(*zip(*own, strict=True), marker="o", label=label, color=OTHERS[place % 6])
        if log:
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
        style(axes, "both axes logarithmic" if log else "straight axes", "s", "lower")
        axes.set_xlabel("steps", fontsize=8)
    legend_below(figure)
    save_figure(figure, path)


def _cell(rows: Rows, metric: str, **conditions: Any) -> str:
    found = select(rows, metric, **conditions)
    return format_value(found[0]["value"]) if found else "–"
