"""Values with their intervals, as text and as points of a picture."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.atomic import write_bytes
from pipeline.report.figure import KNOWN, OTHERS
from pipeline.report.write import format_value


def with_interval(row: Mapping[str, Any], digits: int = 4) -> str:
    """``value [low … high]`` of a row; the value alone where there is no interval."""
    text = format_value(row["value"], digits)
    if row.get("low") is None or row["low"] == row["high"]:
        return text
    return f"{text} [{format_value(row['low'], digits)} … {format_value(row['high'], digits)}]"


def save_figure(figure: Any, path: Path) -> None:
    """Write the PNG in one rename; the same rows give the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": ""})
    write_bytes(path, buffer.getvalue())


def colour(variant: str, place: int) -> str:
    """The variant's colour in every picture."""
    return KNOWN.get(variant, OTHERS[place % len(OTHERS)])


def number(value: Any) -> float:
    """A row's value to draw; NaN leaves a gap."""
    return math.nan if value is None else float(value)


def error_bar(row: Mapping[str, Any]) -> list[list[float]] | None:
    """Distances from the value to the interval's ends, as matplotlib takes them."""
    if row.get("low") is None or row.get("high") is None or row["value"] is None:
        return None
    value = float(row["value"])
    return [[max(0.0, value - float(row["low"]))], [max(0.0, float(row["high"]) - value)]]
