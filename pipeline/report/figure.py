"""Bar charts of report rows (matplotlib without a display)."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.atomic import write_bytes
from pipeline.report.write import format_value

KNOWN = {
    "reference": "#4c566a",
    "fp32": "#5e81ac",
    "fp16": "#88c0d0",
    "int8": "#a3be8c",
    "w8": "#ebcb8b",
    "w4": "#d08770",
}
"""A variant keeps its colour in every picture; others take theirs in turn."""

OTHERS = ("#d08770", "#b48ead", "#ebcb8b", "#bf616a")


@dataclass(frozen=True)
class Panel:
    """One chart: a bar for each variant, in groups of a condition's values.

    Attributes:
        title: heading of the chart.
        rows: rows of one metric.
        group: condition column that makes the groups; ``""`` for one group.
        log: logarithmic axis, for values that span decades; zeros get no bar.
    """

    title: str
    rows: Sequence[Mapping[str, Any]]
    group: str = ""
    log: bool = False


def draw_panels(path: Path, title: str, panels: Sequence[Panel]) -> None:
    """Draw ``panels`` beside each other into the PNG ``path``, in one rename.

    Rows whose value is not finite leave a gap; a panel without rows is left out.
    """
    # Imported here: a Figure without pyplot needs no backend, and a report no matplotlib.
    from matplotlib.figure import Figure

    drawn = [panel for panel in panels if panel.rows]
    columns = min(3, max(1, len(drawn)))
    lines = max(1, math.ceil(len(drawn) / columns))
    figure = Figure(figsize=(5.2 * columns, 3.6 * lines), layout="constrained")
    figure.suptitle(title)
    for index, panel in enumerate(drawn, start=1):
        _draw(figure.add_subplot(lines, columns, index), panel)
    save_figure(figure, path)


def save_figure(figure: Any, path: Path) -> None:
    """Write the PNG in one rename; the same rows give the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": ""})
    write_bytes(path, buffer.getvalue())


def _draw(axes: Any, panel: Panel) -> None:
    variants = list(dict.fromkeys(str(row["variant"]) for row in panel.rows))
    groups = list(dict.fromkeys(str(row.get(panel.group, "")) for row in panel.rows))
    width = 0.8 / len(variants)
    for number, variant in enumerate(variants):
        values = [_value(panel, variant, group) for group in groups]
        offset = (number - (len(variants) - 1) / 2) * width
        places = [index + offset for index in range(len(groups))]
        bars = axes.bar(places, values, width, label=variant, color=_colour(variant, number))
        if len(groups) * len(variants) <= 12:
            axes.bar_label(bars, [format_value(v) for v in values], fontsize=7)
    if panel.log and any(float(row["value"] or 0) > 0 for row in panel.rows):
        axes.set_yscale("log")
    axes.set_title(panel.title, fontsize=10)
    axes.set_ylabel(str(panel.rows[0]["unit"]))
    axes.set_xticks(range(len(groups)), [_label(panel.group, g) for g in groups], fontsize=7)
    axes.margins(y=0.15)
    axes.legend(fontsize=7)


def _colour(variant: str, number: int) -> str:
    return KNOWN.get(variant, OTHERS[number % len(OTHERS)])


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
