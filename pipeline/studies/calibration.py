"""How many calibration samples are enough: ``python -m pipeline.studies.calibration`` in a
workspace, or ``make calibration-study``.

The FP32 bundle speaks all sentences of ``conf/calibration`` once; ranges of several draws of 1, 2,
4 … of them quantize the GPT, whose loss is measured on the sentences of ``conf/search``.  Writes
``reports/calibration_study.{json,md,png}``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from pipeline.config import Params
from pipeline.core.sentences import load_sentences
from pipeline.quantization.calibration.recorder import PROVIDERS, record
from pipeline.quantization.calibration.recording import graph_feeds
from pipeline.quantization.calibration.statistics import GraphStatistics, collect
from pipeline.report.figure import OTHERS, legend_below, new_figure, save_figure, style
from pipeline.report.rows import Row, Rows, make_row, select
from pipeline.report.write import format_value, markdown_table, report_context, write_report
from pipeline.search.effect import loss_of
from pipeline.search.evaluate import SOURCE
from pipeline.search.space import everything_quantized
from pipeline.studies.command import workspace_command
from pipeline.studies.opening import evaluator_of

REPORT = Path("reports/calibration_study.json")
GRAPH = "gpt"
DRAWS = 4
CALIBRATORS = ("minmax", "percentile", "mse")
ENOUGH = 1.05
"""A number of samples is enough where the mean loss is at most this much of that of all samples."""


def sizes(total: int) -> list[int]:
    """1, 2, 4 … and all."""
    return [*(size for size in (1, 2, 4, 8, 16, 32, 64, 128) if size < total), total]


def subsets(total: int, size: int, seed: int) -> Iterator[list[int]]:
    """Draws without replacement; all samples can be drawn in one way only."""
    for draw in range(1 if size == total else DRAWS):
        random = np.random.default_rng([seed, size, draw])
        yield sorted(int(i) for i in random.choice(total, size, replace=False))


def run(params: Params, workspace: Path) -> None:
    """See the module's docstring.

    Raises:
        ConfigError: sentences are missing or malformed.
        QuantizationError: there is no calibration of the bundle.
    """
    console = Console(stderr=True)
    recording = params.calibration.recording
    total = len(load_sentences(workspace / recording.sentences, recording.samples))
    everything = replace(recording, samples=total)
    losses: dict[str, dict[int, list[float]]] = {name: {} for name in CALIBRATORS}
    with evaluator_of(params, workspace, [GRAPH]) as evaluator:
        builder = evaluator.builder
        path = workspace / SOURCE / builder.manifest.graph(GRAPH).file
        bins = params.calibration.histogram_bins
        parts = [
            collect(path, GRAPH, graph_feeds(GRAPH, builder.manifest.model, item), bins)
            for item in record(workspace / SOURCE, workspace, everything, params.seed)
        ]
        for size in sizes(total):
            for chosen in subsets(total, size, params.seed):
                builder.statistics = {GRAPH: _together(parts, chosen)}
                for calibrator in CALIBRATORS:
                    config = everything_quantized(params.precision.int8)
                    config = replace(config, calibrator=calibrator)
                    step = f"{calibrator} {chosen}"
                    # statistics are no part of a candidate's key
                    evaluator.forget()
                    rows = evaluator.measure(config, GRAPH, step).rows
                    losses[calibrator].setdefault(size, []).append(loss_of(rows))
            line = ", ".join(f"{c} {np.mean(losses[c][size]):.4g}" for c in CALIBRATORS)
            console.print(f"{size} samples: KL {line}", highlight=False, markup=False)
        manifest = builder.manifest
    context = report_context(
        manifest.checkpoint, PROVIDERS, sentences=recording.sentences, draws=DRAWS,
        target=params.precision.int8.target, prompts=params.search.prompts,
    )  # fmt: skip
    rows = study_rows(losses)
    write_report(
        workspace / REPORT, context, rows, title="Calibration samples",
        sections=[study_section(losses)], picture=True,
    )  # fmt: skip
    draw_study((workspace / REPORT).with_suffix(".png"), rows)


def _together(parts: Sequence[GraphStatistics], chosen: Sequence[int]) -> GraphStatistics:
    total = GraphStatistics()
    for index in chosen:
        total.add(parts[index])
    return total


def study_rows(losses: dict[str, dict[int, list[float]]]) -> list[Row]:
    """Mean, best and worst loss for each calibrator and number of samples."""
    return [
        make_row(
            "int8", "kl_divergence", float(np.mean(found)), "nat", calibrator=calibrator,
            samples=size, min=min(found), max=max(found), repeats=len(found),
        )
        for calibrator, by_size in losses.items() for size, found in by_size.items()
    ]  # fmt: skip


def enough(by_size: dict[int, list[float]]) -> int:
    """The smallest number of samples from which on more bring next to nothing."""
    means = {size: float(np.mean(found)) for size, found in sorted(by_size.items())}
    final = means[max(means)]
    good = [
        size for size in means
        if all(mean <= ENOUGH * final for other, mean in means.items() if other >= size)
    ]  # fmt: skip
    return min(good)


def study_section(losses: dict[str, dict[int, list[float]]]) -> str:
    """A table and the verdict."""
    counts = sorted(next(iter(losses.values())))
    lines = [
        [calibrator, *(_cell(by_size[size]) for size in counts), str(enough(by_size))]
        for calibrator, by_size in losses.items()
    ]
    header = ["calibrator", *(str(size) for size in counts), "enough"]
    note = (
        "Logit KL (nat) of everything quantized by the number of sentences calibrated on: mean, "
        f"and the worst of {DRAWS} draws. Enough is what stays within {ENOUGH - 1:.0%} of the loss "
        "of all of them."
    )
    return f"## How many samples are enough\n\n{note}\n\n{markdown_table(header, lines)}"


def _cell(found: list[float]) -> str:
    return f"{format_value(float(np.mean(found)))} ({format_value(max(found))})"


def draw_study(path: Path, rows: Rows) -> None:
    """Draw ``reports/calibration_study.png``: means, and the range of the draws."""
    figure = new_figure(6.4, 4.2)
    axes = figure.add_subplot()
    for place, calibrator in enumerate(dict.fromkeys(str(row["calibrator"]) for row in rows)):
        own = sorted(select(rows, calibrator=calibrator), key=lambda row: int(row["samples"]))
        counts, colour = [row["samples"] for row in own], OTHERS[place % len(OTHERS)]
        means = [row["value"] for row in own]
        axes.plot(counts, means, marker="o", markersize=3, label=calibrator, color=colour)
        low, high = [row["min"] for row in own], [row["max"] for row in own]
        axes.fill_between(counts, low, high, alpha=0.15, color=colour)
    axes.set_xscale("log", base=2)
    style(axes, "KL(FP32 ‖ INT8): mean and range of the draws", "nat", "lower")
    axes.set_xlabel("sentences calibrated on", fontsize=8)
    legend_below(figure)
    save_figure(figure, path)


if __name__ == "__main__":
    sys.exit(workspace_command("calibration", __doc__, run))
