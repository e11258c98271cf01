"""Layer x projection: where quantization hurts, as a picture."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.report.figure import BETTER, INK, new_figure, save_figure, three

BLOCK = re.compile(r"\.(\d+)\.(.+)/[^/]+$")
"""``layers.3.mlp.down_proj/MatMul``: the block's number and its projection."""


@dataclass(frozen=True)
class Heat:
    """One heat map.

    Attributes:
        title: its heading.
        values: number of a layer by the layer's node name.
        unit: of the values.
        log: colours by the logarithm; zeros stay white.
        reverse: small numbers are the bad ones.
    """

    title: str
    values: Mapping[str, float]
    unit: str = ""
    log: bool = False
    reverse: bool = False


def grid(values: Mapping[str, float]) -> tuple[NDArray[np.float64], list[str]]:
    """Blocks in rows, projections in columns; NaN where there is none.  Layers outside of blocks
    are left out: the report's tables have them."""
    cells: dict[tuple[int, str], float] = {}
    for name, value in values.items():
        match = BLOCK.search(f".{name}")
        if match and re.search(r"(layers|block|convnext)$", f".{name}"[: match.start()]):
            cells[int(match[1]), match[2].rsplit(".", 1)[-1]] = value
    columns = list(dict.fromkeys(column for _, column in cells))
    rows = 1 + max((row for row, _ in cells), default=-1)
    result = np.full((rows, len(columns)), np.nan)
    for (row, column), value in cells.items():
        result[row, columns.index(column)] = value
    return result, columns


def draw_heat(path: Path, title: str, maps: Sequence[Heat]) -> None:
    """Draw ``maps`` beside each other into the PNG ``path``; empty ones are left out."""
    drawn = [(heat, *grid(heat.values)) for heat in maps]
    drawn = [entry for entry in drawn if entry[1].size]
    columns = min(3, max(1, len(drawn)))
    lines = max(1, -(-len(drawn) // columns))
    tallest = max((len(values) for _, values, _ in drawn), default=1)
    size = (4.4 * columns, (1.6 + 0.28 * tallest) * lines)
    figure = new_figure(*size, title)
    for index, (heat, values, names) in enumerate(drawn, start=1):
        _draw(figure.add_subplot(lines, columns, index), heat, values, names)
    save_figure(figure, path)


def _draw(axes: Any, heat: Heat, values: NDArray[np.float64], names: list[str]) -> None:
    """Cells in colour, each with its value, so that no scale is needed beside them."""
    norm = _norm(heat, values)
    axes.imshow(values, aspect="auto", cmap="YlOrRd_r" if heat.reverse else "YlOrRd", norm=norm)
    for (row, column), value in np.ndenumerate(values):
        dark = norm is not None and (norm(value) < 0.4 if heat.reverse else norm(value) > 0.6)
        axes.text(
            column, row, three(value), ha="center", va="center", fontsize=6,
            color="white" if dark else INK,
        )  # fmt: skip
    better = BETTER["higher" if heat.reverse else "lower"]
    axes.set_title(f"{heat.title}\n{heat.unit}, {better}", fontsize=9, color=INK)
    axes.set_xticks(range(len(names)), names, fontsize=7)
    axes.set_yticks(range(len(values)), range(len(values)), fontsize=7)
    axes.set_ylabel("block", fontsize=7)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _norm(heat: Heat, values: NDArray[np.float64]) -> Any:
    """Colours span a decade, or 10 dB, at least: what is all alike is not to look alarming.

    None where no value can be shown.
    """
    from matplotlib.colors import LogNorm, Normalize

    good = values[np.isfinite(values) & (values > 0 if heat.log else True)]
    if not good.size:
        return None
    low, high = float(good.min()), float(good.max())
    if heat.log:
        return LogNorm(min(low, high / 10), high)
    low, high = (low, max(high, low + 10)) if heat.reverse else (min(low, high - 10), high)
    return Normalize(low, high)
