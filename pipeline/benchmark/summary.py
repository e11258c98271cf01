"""Report rows from the timings: medians with their range, and ratios between engines."""

from __future__ import annotations

from statistics import median
from typing import Any

from pipeline.benchmark.engine import REFERENCE
from pipeline.benchmark.harness import Samples
from pipeline.benchmark.plan import PEAK_MEMORY, SIZE, Measurement
from pipeline.report.metrics import Metric
from pipeline.report.rows import Row, find_value, select

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
            rows += [
                _row(name, metric, found, **measurement.conditions)
                for name, found in values.items()
            ]
            ratios += _paired_ratios(metric, measurement, values, baseline)
    rows += _plain_rows(samples)
    return rows + ratios + _plain_ratios(rows, baseline)


def _row(variant: str, metric: Metric, values: list[float], **conditions: Any) -> Row:
    spread = {"min": min(values), "max": max(values), "repeats": len(values)}
    return metric.row(variant, median(values), **conditions, **spread)


def _ratio(metric: Metric) -> Metric:
    return Metric(name=f"{metric.name}_ratio", unit="×")


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
        conditions = {"baseline": baseline, **measurement.conditions}
        rows.append(_row(name, _ratio(metric), pairs, **conditions))
    return rows


def _plain_rows(samples: Samples) -> list[Row]:
    rows = [PEAK_MEMORY.row(name, value) for name, value in samples.peak_memory.items()]
    return rows + [
        SIZE.row(name, int(description["size_bytes"]))
        for name, description in samples.descriptions.items()
    ]


def _plain_ratios(rows: list[Row], first: str) -> list[Row]:
    ratios = []
    for metric in (PEAK_MEMORY, SIZE):
        for baseline in (first, SIZE_BASELINE):
            divisor = find_value(rows, baseline, metric.name)
            if not divisor:
                continue
            ratios += [
                _ratio(metric).row(row["variant"], row["value"] / divisor, baseline=baseline)
                for row in select(rows, metric.name)
                if row["variant"] not in (first, baseline)
            ]
    return ratios
