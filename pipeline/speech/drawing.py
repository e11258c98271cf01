"""Values with their intervals, as text and as points of a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def number(value: Any) -> float:
    """A row's value to draw; NaN leaves a gap."""
    return math.nan if value is None else float(value)


def error_bar(row: Mapping[str, Any]) -> list[list[float]] | None:
    """Distances from the value to the interval's ends, as matplotlib takes them."""
    if row.get("low") is None or row.get("high") is None or row["value"] is None:
        return None
    value = float(row["value"])
    return [[max(0.0, value - float(row["low"]))], [max(0.0, float(row["high"]) - value)]]
