"""Rows of reports: made, read from a file, found by variant, metric and conditions.

A report is ``{"context": {...}, "rows": [...]}``, a row
``{"variant", "metric", "value", "unit", ...conditions}``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import PipelineError

Row = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]

REQUIRED = ("variant", "metric", "value", "unit")
STATISTICS = ("min", "max", "repeats", "low", "high")
"""Columns that qualify a value instead of naming the conditions it was measured under.

``min`` and ``max`` span the repeats, ``low`` and ``high`` a confidence interval.
"""


def make_row(variant: str, metric: str, value: float, unit: str, **conditions: Any) -> Row:
    """One row of a report; ``conditions`` become its further columns."""
    return {"variant": variant, "metric": metric, "value": value, "unit": unit, **conditions}


def conditions(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that say what the value was measured under."""
    return {key: row[key] for key in row if key not in (*REQUIRED, *STATISTICS)}


def matches(row: Mapping[str, Any], metric: str = "", variant: str = "", **where: Any) -> bool:
    """Whether a row is of this metric and variant ('' for any) and has all of ``where``.

    Values are compared as texts, since parameters and JSON write the head 2 in two ways; None
    stands for a column that is absent.
    """
    return (
        metric in ("", row.get("metric"))
        and variant in ("", row.get("variant"))
        and all(str(row.get(key)) == str(value) for key, value in where.items())
    )


def select(
    rows: Iterable[Mapping[str, Any]], metric: str = "", variant: str = "", **where: Any
) -> list[Row]:
    """All rows that match, in their order."""
    return [dict(row) for row in rows if matches(row, metric, variant, **where)]


def find(rows: Iterable[Mapping[str, Any]], variant: str, metric: str, **where: Any) -> Row | None:
    """The first row that matches, or None."""
    return next((dict(row) for row in rows if matches(row, metric, variant, **where)), None)


def find_value(
    rows: Iterable[Mapping[str, Any]], variant: str, metric: str, **where: Any
) -> float | None:
    """The value of the first row that matches; None where there is no row or no number."""
    row = find(rows, variant, metric, **where)
    return None if row is None or row["value"] is None else float(row["value"])


def variants_of(rows: Iterable[Mapping[str, Any]], metric: str = "") -> list[str]:
    """Variants in the order of their first rows, of one metric or of all."""
    found = (str(row["variant"]) for row in rows if row.get("variant") and matches(row, metric))
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Report:
    """A report that was read."""

    path: Path
    context: dict[str, Any]
    rows: list[Row]

    def row(self, variant: str, metric: str, **where: Any) -> Row:
        """The first row that matches.

        Raises:
            PipelineError: there is none.
        """
        row = find(self.rows, variant, metric, **where)
        if row is None:
            wanted = {"variant": variant, "metric": metric, **where}
            raise PipelineError(f"{self.path}: found no row of {wanted}, which is to be shown")
        return row

    def value(self, variant: str, metric: str, **where: Any) -> float:
        """Its value; see :meth:`row`."""
        return float(self.row(variant, metric, **where)["value"])


def read_report(path: Path) -> Report:
    """Read ``path``.

    Raises:
        PipelineError: it is missing, or no report.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        context, rows = found["context"], found["rows"]
        if not isinstance(context, dict) or not isinstance(rows, list):
            raise TypeError("context or rows of another kind")
        lacking = next((row for row in rows if not {"metric", "value"} <= row.keys()), None)
        if lacking is not None:
            raise ValueError(f"a row without metric or value: {lacking}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PipelineError(
            f"{path}: found no report ({error}), expected {{context, rows}}; run `make repro`"
        ) from error
    return Report(path, context, rows)
