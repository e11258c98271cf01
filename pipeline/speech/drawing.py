"""Values with their intervals as points of a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pipeline.report.figure import colour


def number(value: Any) -> float:
    """A row's value to draw; NaN leaves a gap."""
    return math.nan if value is None else float(value)


def draw_point(axes: Any, x: float, row: Mapping[str, Any], variant: str, place: int) -> None:
    """A row's value at ``x``, with its interval as a bar where it has one."""
    value, low, high = (number(row.get(name)) for name in ("value", "low", "high"))
    known = not math.isnan(value + low + high)
    bar = [[max(0.0, value - low)], [max(0.0, high - value)]] if known else None
    shade = colour(variant, place)
    axes.errorbar([x], [value], yerr=bar, fmt="o", capsize=4, color=shade)
