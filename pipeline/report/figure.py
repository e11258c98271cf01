"""One style for all pictures (matplotlib without a display), and bar charts of report rows.

A variant or an engine has the same colour in every picture, numbers have three digits, a title
says the unit and which way is better, names stand at what they name or below all panels.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.atomic import write_bytes
from pipeline.report.write import shown_unit

KNOWN = {
    "official": "#222222",
    "reference": "#777777",
    "fp32": "#4477aa",
    "fp16": "#66ccee",
    "int8": "#228833",
    "w8": "#ccbb44",
    "w4": "#ee6677",
    "fp32_other_seeds": "#a9c0d8",
    "teacher": "#aa3377",
}
"""Colours that can be told apart by the colour-blind too (after Paul Tol's bright scheme)."""

OTHERS = ("#882255", "#44aa99", "#ddaa33", "#332288", "#994455", "#999933")
"""Of what is no variant, by its place; none of them is a variant's."""

INK, FAINT = "#333333", "#dddddd"
BETTER = {"lower": "lower is better", "higher": "higher is better", "": ""}
BARS_TO_LABEL = 40


@dataclass(frozen=True)
class Panel:
    """One chart: a bar for each variant, in groups of a condition's values.

    Attributes:
        title: heading of the chart.
        rows: rows of one metric.
        group: condition column that makes the groups; ``""`` for one group.
        log: logarithmic axis, for values that span decades; zeros get no bar.
        better: ``lower`` or ``higher``; '' where neither is.
    """

    title: str
    rows: Sequence[Mapping[str, Any]]
    group: str = ""
    log: bool = False
    better: str = ""


def colour(name: str, place: int = 0) -> str:
    """Of a variant or engine in every picture; by its place among others where it is neither."""
    return KNOWN.get(name, OTHERS[place % len(OTHERS)])


def three(value: float) -> str:
    """Three digits, without exponents where a reader would have to count zeros."""
    if not math.isfinite(value):
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    text = f"{value:#.3g}"
    return text if "e" in text else text.rstrip(".")


def new_figure(width: float, height: float, title: str = "") -> Any:
    """An empty figure in inches; a Figure without pyplot needs no backend."""
    # Imported here: a report needs no matplotlib.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        figure.suptitle(title, fontsize=12, color=INK)
    return figure


def style(axes: Any, title: str, unit: str = "", better: str = "") -> None:
    """Title with unit and direction on two lines at most, a faint grid, no box."""
    told = ", ".join(text for text in (unit, BETTER[better]) if text)
    axes.set_title(f"{title}\n{told}" if told else title, fontsize=9, color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(which="both", labelsize=7, color=FAINT, labelcolor=INK)
    axes.grid(axis="y", color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)


def legend_below(figure: Any) -> None:
    """One legend of all panels, below them."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        figure.legend(
            list(found.values()), list(found), loc="outside lower center", ncols=min(8, len(found)),
            fontsize=8, frameon=False,
        )  # fmt: skip


def draw_panels(path: Path, title: str, panels: Sequence[Panel]) -> None:
    """Draw ``panels`` beside each other into the PNG ``path``, in one rename.

    Rows whose value is not finite leave a gap; a panel without rows is left out.
    """
    drawn = [panel for panel in panels if panel.rows]
    columns = min(3, max(1, len(drawn)))
    lines = max(1, math.ceil(len(drawn) / columns))
    figure = new_figure(5.2 * columns, 3.4 * lines, title)
    for index, panel in enumerate(drawn, start=1):
        _draw(figure.add_subplot(lines, columns, index), panel)
    legend_below(figure)
    save_figure(figure, path)


def save_figure(figure: Any, path: Path) -> None:
    """Write the PNG in one rename; the same rows give the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": ""})
    write_bytes(path, buffer.getvalue())


def _draw(axes: Any, panel: Panel) -> None:
    variants = list(dict.fromkeys(str(row["variant"]) for row in panel.rows))
    groups = list(dict.fromkeys(str(row.get(panel.group, "")) for row in panel.rows))
    table = {v: [_value(panel, v, group) for group in groups] for v in variants}
    unit, factor = shown_unit([x for line in table.values() for x in line], _unit(panel))
    width = 0.8 / len(variants)
    dense = len(groups) * len(variants) > 8
    for number, variant in enumerate(variants):
        values = [value * factor for value in table[variant]]
        offset = (number - (len(variants) - 1) / 2) * width
        places = [index + offset for index in range(len(groups))]
        bars = axes.bar(places, values, width * 0.94, label=variant, color=colour(variant, number))
        if len(groups) * len(variants) <= BARS_TO_LABEL:
            axes.bar_label(
                bars, [three(v) for v in values], fontsize=6 if dense else 7, color=INK, padding=2,
                rotation=90 if dense else 0,
            )  # fmt: skip
    if panel.log and any(float(row["value"] or 0) > 0 for row in panel.rows):
        axes.set_yscale("log")
    style(axes, panel.title, unit, panel.better)
    if len(groups) == 1:
        names = [str(name).replace("_", "\n") for name in variants]
        offsets = [(number - (len(variants) - 1) / 2) * width for number in range(len(variants))]
        axes.set_xticks(offsets, names)
        axes.set_xlabel(_label(panel.group, groups[0]), fontsize=8)
    else:
        axes.set_xticks(range(len(groups)), [_label(panel.group, g) for g in groups])
    # room for the labels above the bars
    axes.margins(y=0.22 if dense else 0.12)


def _unit(panel: Panel) -> str:
    unit = str(panel.rows[0]["unit"] or "")
    return "" if unit in ("1", "share", "cosine") else unit


def _label(group: str, value: str) -> str:
    if group == "component":
        return value.replace("+", "\n+ ").replace("_", "\n")
    return f"{group} {value}".strip()


def _value(panel: Panel, variant: str, group: str) -> float:
    for row in panel.rows:
        if str(row["variant"]) == variant and str(row.get(panel.group, "")) == group:
            value = row["value"]
            return float(value) if value is not None and math.isfinite(value) else math.nan
    return math.nan
