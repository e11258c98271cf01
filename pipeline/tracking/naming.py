"""Report rows as MLflow metrics.

MLflow knows a metric by its name alone, so the condition columns of a row become part of it:
``{"metric": "steps_per_second", "batch": 4, "length": 64}`` is
``steps_per_second/batch_4/length_64``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Statistics of the same measurement: metrics beside the value, not conditions of it.
STATISTICS = ("min", "max", "mean", "median", "std", "p50", "p90", "p95", "p99")
NOT_CONDITIONS = frozenset({"variant", "metric", "value", "unit", "repeats", *STATISTICS})
# MLflow allows letters, digits, "_", "-", ".", " ", ":" and "/" in a name of at most 250; some are
# kept for the statistic that may follow.
REFUSED = re.compile(r"[^\w.\-]+", re.ASCII)
MAX_NAME = 240


@dataclass(frozen=True)
class NamedMetric:
    """One number; ``step`` counts rows that share a name."""

    name: str
    value: float
    step: int


def metric_name(row: Mapping[str, Any]) -> str:
    """Name of a row's metric, its condition columns included, in the row's order."""
    conditions = [
        f"{_clean(column)}_{_clean(value)}"
        for column, value in row.items()
        if column not in NOT_CONDITIONS and value is not None
    ]
    # MLflow refuses a name that ends in a slash, which a cut may leave
    return "/".join([_clean(row["metric"]), *conditions])[:MAX_NAME].rstrip("/")


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


def _clean(value: Any) -> str:
    return REFUSED.sub("_", str(value)).strip("_.") or "_"
