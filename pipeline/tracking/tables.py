"""The two tables by which engines for ChatTTS are usually compared, from the measured rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.report.write import format_value, markdown_table

Row = Mapping[str, Any]
Cells = dict[str, list[Any]]

# Column, metric, conditions, factor to the column's unit.
ENGINES: Sequence[tuple[str, str, Mapping[str, Any], float]] = (
    ("peak memory, MB", "peak_memory_bytes", {}, 1e-6),
    ("sentences/s", "sentences_per_second", {"batch": 1}, 1.0),
    ("first audio, ms", "first_audio_seconds", {}, 1e3),
    ("RTF", "rtf", {"batch": 1}, 1.0),
    ("size, MB", "size_bytes", {}, 1e-6),
)
PRECISIONS: Sequence[tuple[str, str, Mapping[str, Any], float]] = (
    ("speed, × PyTorch FP32", "steps_per_second_ratio", {"batch": 1}, 1.0),
    ("DNSMOS P.808", "dnsmos_p808", {}, 1.0),
    ("WER, %", "word_error_rate", {}, 1.0),
    ("same top-1 code, %", "top1_agreement", {"head": "all"}, 100.0),
    ("KL, nat", "kl_divergence", {"head": "all"}, 1.0),
)
TABLES = {"engines": ENGINES, "precisions": PRECISIONS}


def make_tables(rows: Sequence[Row]) -> dict[str, Cells]:
    """``engines`` (memory, throughput, first audio) and ``precisions`` (speed against quality).

    A table is a list a column, as MLflow takes them; cells that were not measured are None, and
    so are no rows: a table that nothing was measured for is left out.
    """
    variants = list(dict.fromkeys(str(row["variant"]) for row in rows if row.get("variant")))
    found: dict[str, Cells] = {}
    for name, columns in TABLES.items():
        lines = [
            (variant, [_value(rows, variant, column) for column in columns]) for variant in variants
        ]
        lines = [(v, cells) for v, cells in lines if any(cell is not None for cell in cells)]
        if lines:
            found[name] = {
                "variant": [variant for variant, _ in lines],
                **{
                    column[0]: [cells[index] for _, cells in lines]
                    for index, column in enumerate(columns)
                },
            }
    return found


def as_markdown(table: Cells, show: Callable[[Any], str] = format_value) -> str:
    """A table to read."""
    lines = [[show(cell) for cell in line] for line in zip(*table.values(), strict=True)]
    return markdown_table(list(table), lines) + "\n"


def _value(
    rows: Sequence[Row], variant: str, column: tuple[str, str, Mapping[str, Any], float]
) -> float | None:
    _, metric, conditions, factor = column
    for row in rows:
        chosen = row.get("variant") == variant and row["metric"] == metric
        if chosen and all(row.get(key) == value for key, value in conditions.items()):
            return None if row["value"] is None else float(row["value"]) * factor
    return None
