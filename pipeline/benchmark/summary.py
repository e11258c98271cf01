"""Report rows from the timings: medians with their range, and ratios between engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from pipeline.benchmark.engine import REFERENCE
from pipeline.benchmark.harness import Samples
from pipeline.benchmark.plan import Measurement, Metric
from pipeline.report.write import Row, make_row

SIZE_BASELINE = "fp32"


def summarize(samples: Samples, baseline: str = REFERENCE) -> list[Row]:
    """Rows of every metric, then ``<metric>_ratio`` rows: the engine's value ÷ the baseline's.

    A ratio is the median of the ratios of each round, since two engines measured side by side
    share what the machine did at that moment.
    """
    rows: list[Row] = []
    ratios: list[Row] = []
    for measurement, taken in zip(samples.plan, samples.timings, strict=True):
        for metric in measurement.metrics:
            values = {
                name: [metric.value(timing, measurement.batch) for timing in timings]
                for name, timings in taken.items()
            }
            rows += [_row(name, metric, measurement, found) for name, found in values.items()]
            ratios += _paired_ratios(metric, measurement, values, baseline)
    rows += _plain_rows(samples)
    return rows + ratios + _plain_ratios(rows, baseline)


def find_value(
    rows: Sequence[Mapping[str, Any]], variant: str, metric: str, **conditions: Any
) -> float | None:
    """The value of the first row that matches, or None."""
    for row in rows:
        if {**row, "variant": variant, "metric": metric, **conditions} == row:
            return float(row["value"])
    return None


def _row(variant: str, metric: Metric, measurement: Measurement, values: list[float]) -> Row:
    return make_row(
        variant,
        metric.name,
        median(values),
        metric.unit,
        **measurement.conditions,
        min=min(values),
        max=max(values),
        repeats=len(values),
    )


def _paired_ratios(
    metric: Metric, measurement: Measurement, values: dict[str, list[float]], baseline: str
) -> list[Row]:
    divisors = values.get(baseline)
    if not divisors:
        return []
    rows = []
    for name, found in values.items():
        if name == baseline:
            continue
        # An engine that ran out of time has fewer rounds: pair what both have.
        pairs = [value / other for value, other in zip(found, divisors, strict=False)]
        rows.append(
            make_row(
                name,
                f"{metric.name}_ratio",
                median(pairs),
                "×",
                baseline=baseline,
                **measurement.conditions,
                min=min(pairs),
                max=max(pairs),
                repeats=len(pairs),
            )
        )
    return rows


def _plain_rows(samples: Samples) -> list[Row]:
    rows = [
        make_row(name, "peak_memory_bytes", value, "B")
        for name, value in samples.peak_memory.items()
    ]
    return rows + [
        make_row(name, "size_bytes", int(description["size_bytes"]), "B")
        for name, description in samples.descriptions.items()
    ]


def _plain_ratios(rows: list[Row], first: str) -> list[Row]:
    ratios = []
    for metric in ("peak_memory_bytes", "size_bytes"):
        for baseline in (first, SIZE_BASELINE):
            divisor = find_value(rows, baseline, metric)
            if not divisor:
                continue
            ratios += [
                make_row(
                    row["variant"],
                    f"{metric}_ratio",
                    row["value"] / divisor,
                    "×",
                    baseline=baseline,
                )
                for row in rows
                if row["metric"] == metric and row["variant"] not in (first, baseline)
            ]
    return ratios
