"""The calibrate stage's report: ranges by tensor, text and code positions apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.quantization.calibration.histogram import Histogram
from pipeline.quantization.calibration.statistics import GraphStatistics
from pipeline.quantization.calibration.thresholds import activation_range
from pipeline.report.rows import Row, make_row
from pipeline.report.write import markdown_table

VARIANT = "fp32"
WIDEST = 20


def calibration_rows(graphs: Mapping[str, GraphStatistics], counts: Mapping[str, int]) -> list[Row]:
    """How much was seen, and the largest magnitude of each tensor and phase."""
    rows: list[Row] = []
    for name, count in counts.items():
        rows.append(make_row(VARIANT, name, count, "count"))
    for graph, statistics in graphs.items():
        rows.append(make_row(VARIANT, "tensors", len(statistics.tensors), "count", graph=graph))
        for tensor, phases in statistics.tensors.items():
            for phase, histogram in phases.items():
                rows.append(_range_row(graph, tensor, phase, histogram))
    return rows


def _range_row(graph: str, tensor: str, phase: str, histogram: Histogram) -> Row:
    largest = max(-histogram.minimum, histogram.maximum)
    where: dict[str, Any] = {"graph": graph, "tensor": tensor, "phase": phase}
    return make_row(
        VARIANT, "largest_magnitude", largest, "1", **where,
        min=histogram.minimum, max=histogram.maximum,
    )  # fmt: skip


def calibration_section(graphs: Mapping[str, GraphStatistics]) -> str:
    """The tensors whose MinMax range is widest against the 99.9 % range: where outliers sit."""
    lines = []
    for graph, statistics in graphs.items():
        for tensor in statistics.tensors:
            histogram = statistics.merged(tensor)
            low, high = activation_range(histogram, "minmax", 100)
            cut_low, cut_high = activation_range(histogram, "percentile", 99.9)
            ratio = (high - low) / max(cut_high - cut_low, 1e-30)
            lines.append((ratio, [graph, tensor, f"{low:.4g}", f"{high:.4g}", f"{ratio:.2f}"]))
    lines.sort(key=lambda line: -line[0])
    header = ["graph", "tensor", "min", "max", "range / 99.9 % range"]
    table = markdown_table(header, [line for _, line in lines[:WIDEST]])
    return f"## Outliers: the {min(WIDEST, len(lines))} widest of {len(lines)} tensors\n\n{table}"
