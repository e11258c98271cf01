"""What ``reports/search.md`` shows, and the picture of cost against fidelity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.report.figure import INK, OTHERS, legend_below, new_figure, save_figure, style, three
from pipeline.report.gates import GateResult
from pipeline.report.rows import Rows, select
from pipeline.report.write import format_value, markdown_table
from pipeline.search.effect import loss_of
from pipeline.search.greedy import Outcome
from pipeline.search.journal import Entry
from pipeline.search.space import FLOAT, LayerInfo, form_of


def summary_section(outcome: Outcome, layers: Sequence[LayerInfo]) -> str:
    """Which repairs and exclusions were chosen."""
    config, repairs = outcome.config, outcome.config.repairs
    lines = [
        f"- calibrator: {config.calibrator}",
        f"- bias correction: {'yes' if repairs.bias_correction else 'no'}",
        f"- keys and values: {'float' if config.cache.bits is None else 'INT8'}",
    ]
    for form in ("blocks", FLOAT):
        chosen = [layer.path for layer in layers if form_of(config, layer) == form]
        lines.append(f"- {form}: {', '.join(chosen) or 'none'} ({len(chosen)} of {len(layers)})")
    kept = ", ".join(f"{name} {'kept' if ok else 'broken'}" for name, ok in outcome.passed.items())
    lines.append(f"- gates: {kept or 'none judged'}")
    if outcome.spent:
        lines.append(f"- ended early: {outcome.spent}")
    return "## Found\n\n" + "\n".join(lines)


def gate_table(results: Iterable[Sequence[Any]]) -> str:
    """Gates, without margin, of what was found and of everything quantized, on both data sets."""
    lines = []
    for name, data, result in results:
        assert isinstance(result, GateResult)
        where = ", ".join(f"{key} {value}" for key, value in result.where.items()) or "all"
        bound = ("≤ " if result.direction == "max" else "≥ ") + f"{result.limit:g}"
        mark = "kept" if result.passed else "**broken**"
        lines.append([name, data, result.metric, where, format_value(result.value), bound, mark])
    header = ["candidate", "sentences", "metric", "condition", "worst", "limit", "gate"]
    note = "Nothing was decided on the held-out sentences; they were measured once, at the end."
    return f"## Gates\n\n{note}\n\n{markdown_table(header, lines)}"


def steps_table(entries: Sequence[Entry]) -> str:
    """Every measurement, in order."""
    lines = [
        [
            str(entry["n"]), entry["component"], entry["step"], f"{entry['cost'] / 1e6:.3f}",
            format_value(loss_of(entry["rows"])), format_value(entry["violation"]),
            f"{entry['seconds']:.1f}",
        ]
        for entry in entries
    ]  # fmt: skip
    header = ["n", "component", "step", "MB of weights", "loss", "violation", "s"]
    note = (
        "`loss` is the mean logit KL, the mel error (ln) or the share of codes that differ; "
        "`violation` sums how far broken gates are beyond their limits (margin included)."
    )
    return f"## Steps\n\n{note}\n\n{markdown_table(header, lines)}"


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points that no other one beats in both (cost, loss), by cost."""
    best: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not best or point[1] < best[-1][1]:
            best.append(point)
    return best


def candidates(entries: Sequence[Entry]) -> list[dict[str, float]]:
    """What the picture shows of the log: MB of the GPT's weights and loss of each candidate."""
    return [
        {"megabytes": float(entry["cost"]) / 1e6, "loss": loss_of(entry["rows"])}
        for entry in entries
        if entry["component"] == "gpt" and not str(entry["step"]).startswith("only ")
    ]


def draw_front(path: Path, found: Sequence[Mapping[str, float]], rows: Rows) -> None:
    """Cost of the GPT's weights against its logit KL for every candidate, with the Pareto front.

    Args:
        path: the PNG.
        found: :func:`candidates`.
        rows: of the report, which hold the speeds.
    """
    figure = new_figure(7.2, 4.6)
    axes = figure.add_subplot()
    points = [(candidate["megabytes"], candidate["loss"]) for candidate in found]
    if points:
        axes.scatter(*zip(*points, strict=True), s=18, label="candidates", color=OTHERS[1])
        line = front(points)
        axes.plot(*zip(*line, strict=True), color=INK, linewidth=1, label="Pareto front")
        axes.set_yscale("log")
        legend_below(figure)
    style(axes, "KL(FP32 ‖ candidate)", "nat", "lower")
    axes.set_xlabel("weights of the GPT read a step, MB, left is better", fontsize=8)
    text = ", ".join(
        f"{row['candidate']} {three(row['value'])}" for row in select(rows, "steps_per_second")
    )
    figure.suptitle(f"steps/s at batch 1: {text}", fontsize=9, color=INK)
    save_figure(figure, path)
