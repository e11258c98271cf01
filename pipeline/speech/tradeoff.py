"""Speed against quality: the benchmark's and the speech report's figures side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.report.figure import colour, new_figure, save_figure, style
from pipeline.report.rows import select, variants_of
from pipeline.report.write import format_value, markdown_table, with_interval
from pipeline.speech.drawing import draw_point, number
from pipeline.speech.figures import MEASURES, overall

Row = Mapping[str, Any]

SPEED = "sentences_per_second"
QUALITY = {
    "dnsmos_p808": "predicted MOS (P.808)",
    "word_error_rate": "WER %",
    "pinyin_error_rate": "Mandarin, syllables %",
}
BETTER = {metric.name: metric.better for metric in MEASURES if metric.name in QUALITY}
PYTORCH = "reference"

# Precision, speed × FP32, MOS by listeners, WER %.
PUBLISHED = (
    ("FP32", 1.0, 4.51, 2.3),
    ("FP16", 1.7, 4.48, 2.4),
    ("INT8", 2.5, 4.33, 2.9),
)
PUBLISHED_NOTE = (
    "For comparison, what a published deployment guide for ChatTTS reports: official weights, one "
    "A4000, 200 Chinese sentences, MOS by listeners. Its levels are of another model, judge and "
    "machine; comparable is how far a precision falls behind FP32."
)
NOTES = (
    "Speed is sentences per second at batch 1 over those of `{baseline}`, and over eager PyTorch "
    "in FP32; the machine is that of `reports/benchmark.md`. Brackets hold 95 % intervals over "
    "sentences; changes against `{baseline}` are paired (`reports/speech.md`)."
)


@dataclass(frozen=True)
class Point:
    """One variant: speed over the baseline's and over PyTorch's, and its rows of quality."""

    variant: str
    speed: float
    over_pytorch: float | None
    rows: Mapping[str, Row]


def collect(speech: Sequence[Row], benchmark: Sequence[Row], baseline: str) -> list[Point]:
    """One point for each variant that both reports have, in the order of the speech report."""
    speeds = {
        str(row["variant"]): float(row["value"])
        for row in select(benchmark, SPEED, batch=1)
        if row["value"]
    }
    if baseline not in speeds:
        return []
    pytorch = speeds.get(PYTORCH)
    whole = overall(speech)
    return [
        Point(
            variant,
            speeds[variant] / speeds[baseline],
            speeds[variant] / pytorch if pytorch else None,
            {row["metric"]: row for row in select(whole, variant=variant)},
        )
        for variant in variants_of(speech)
        if variant in speeds
    ]


def render_tradeoff(points: Sequence[Point], baseline: str, random_weights: bool) -> str:
    """The report as Markdown."""
    warning = (
        "**Random weights**: the checkpoint cannot speak, so the quality columns mean nothing.\n\n"
        if random_weights
        else ""
    )
    header = ["precision", f"speed × {baseline}", "× PyTorch"]
    for metric in measured(points):
        header += [QUALITY[metric], "change"]
    published = markdown_table(
        ["precision", "speed × FP32", "MOS", "WER %"],
        [[name, *(format_value(value) for value in values)] for name, *values in PUBLISHED],
    )
    return (
        f"# Speed against quality\n\n{warning}![Speed against quality](tradeoff.png)\n\n"
        f"{markdown_table(header, [_line(point, measured(points)) for point in points])}\n\n"
        f"{NOTES.format(baseline=baseline)}\n\n{PUBLISHED_NOTE}\n\n{published}\n"
    )


def measured(points: Sequence[Point]) -> list[str]:
    """The metrics of :data:`QUALITY` that every point has: none of a language not judged."""
    return [metric for metric in QUALITY if all(metric in point.rows for point in points)]


def _line(point: Point, metrics: Sequence[str]) -> list[str]:
    line = [point.variant, f"{point.speed:.2f}", format_value(point.over_pytorch, 3)]
    for metric in metrics:
        change = point.rows.get(f"{metric}_change")
        line.append(with_interval(point.rows[metric], 3))
        line.append(with_interval(change, 3) if change else "–")
    return line


def draw_tradeoff(path: Path, points: Sequence[Point], baseline: str, title: str) -> None:
    """Draw speed against each quality, intervals as bars, into the PNG ``path``."""
    figure = new_figure(10.5, 4.2, title)
    chosen = measured(points)
    for index, metric in enumerate(chosen, start=1):
        axes = figure.add_subplot(1, len(chosen), index)
        for place, point in enumerate(points):
            row = point.rows[metric]
            draw_point(axes, point.speed, row, point.variant, place)
            axes.annotate(
                point.variant, (point.speed, number(row.get("high") or row["value"])), (0, 4),
                textcoords="offset points", fontsize=8, ha="center",
                color=colour(point.variant, place),
            )  # fmt: skip
        axes.set_xlabel(f"speed × {baseline}, right is better", fontsize=8)
        style(axes, QUALITY[metric], better=BETTER[metric])
        axes.margins(0.18)
        if BETTER[metric] == "lower":
            axes.set_ylim(bottom=0.0)
    save_figure(figure, path)
