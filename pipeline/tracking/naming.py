"""Report rows as MLflow metrics.

MLflow knows a metric by its name alone, so unit and condition columns of a row become part of it:
``{"metric": "kl_divergence", "unit": "nat", "head": "all"}`` is ``kl_divergence_nat/head_all``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Statistics of the same measurement: metrics beside the value, not conditions of it.
STATISTICS = ("min", "max", "mean", "median", "std", "p50", "p90", "p95", "p99", "low", "high")
NOT_CONDITIONS = frozenset({"variant", "metric", "value", "unit", "repeats", *STATISTICS})
# MLflow allows letters, digits, "_", "-", ".", " ", ":" and "/" in a name of at most 250; some are
# kept for the statistic that may follow.
REFUSED = re.compile(r"[^\w.\-]+", re.ASCII)
MAX_NAME = 240


# How a unit is written in a name; others are written as they are.
UNITS = {
    "": "",
    "1": "",
    "count": "",
    "s/s": "",
    "B": "bytes",
    "s": "seconds",
    "1/s": "per_second",
    "%": "percent",
    "×": "ratio",
    "dB": "db",
}


@dataclass(frozen=True)
class NamedMetric:
    """One number; ``step`` counts rows that share a name."""

    name: str
    value: float
    step: int


def metric_name(row: Mapping[str, Any]) -> str:
    """Name of a row's metric with its unit, then its condition columns in the row's order."""
    conditions = [
        f"{_clean(column)}_{_clean(value)}"
        for column, value in row.items()
        if column not in NOT_CONDITIONS
        and value is not None
        # a speech metric over all sentences keeps its plain name
        and not (column in ("language", "set") and value == "all")
    ]
    # MLflow refuses a name that ends in a slash, which a cut may leave
    return "/".join([_with_unit(row), *conditions])[:MAX_NAME].rstrip("/")


def named_metrics(rows: Iterable[Mapping[str, Any]]) -> Iterator[NamedMetric]:
    """Every finite number of the rows; texts and absent values are no metrics."""
    seen: Counter[str] = Counter()
    for row in rows:
        name = metric_name(row)
        statistics = {f"{name}/{key}": row.get(key) for key in STATISTICS}
        for full_name, value in {name: row["value"], **statistics}.items():
            if _is_number(value):
                yield NamedMetric(full_name, float(value), seen[full_name])
                seen[full_name] += 1


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _with_unit(row: Mapping[str, Any]) -> str:
    """The metric's name, with its unit where it does not say it already."""
    name, unit = _clean(row["metric"]), str(row.get("unit") or "")
    suffix = UNITS.get(unit, unit.replace("/s", "_per_second"))
    if not suffix or _clean(suffix).lower() in name.lower():
        return name
    return f"{name}_{_clean(suffix)}"


def _clean(value: Any) -> str:
    return REFUSED.sub("_", str(value)).strip("_.") or "_"
