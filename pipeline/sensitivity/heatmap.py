"""Layer x projection: where quantization hurts, as a picture."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.report.figure import INK, new_figure, save_figure

BLOCK = re.compile(r"\.(\d+)\.(.+)/[^/]+$")
"""``layers.3.mlp.down_proj/MatMul``: the block's number and its projection."""


@dataclass(frozen=True)
class Heat:
    """One heat map.

    Attributes:
        title: its heading.
        values: number of a layer by the layer's node name.
        log: colours by the decimal logarithm; zeros stay white.
        reverse: small numbers are the bad ones.
    """

    title: str
    values: Mapping[str, float]
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
        _draw(figure, figure.add_subplot(lines, columns, index), heat, values, names)
    save_figure(figure, path)


def _draw(
    figure: Any, axes: Any, heat: Heat, values: NDArray[np.float64], names: list[str]
) -> None:
    shown = np.log10(np.where(values > 0, values, np.nan)) if heat.log else values
    image = axes.imshow(shown, aspect="auto", cmap="YlOrRd_r" if heat.reverse else "YlOrRd")
    axes.set_title(heat.title, fontsize=8, color=INK, wrap=True)
    axes.set_xticks(range(len(names)), names, fontsize=7, rotation=20)
    axes.set_yticks(range(len(values)), range(len(values)), fontsize=6)
    axes.set_ylabel("layer", fontsize=7)
    bar = figure.colorbar(image, ax=axes)
    bar.ax.tick_params(labelsize=6)
    if heat.log:
        bar.set_label("log10", fontsize=7)
