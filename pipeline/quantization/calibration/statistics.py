"""Activation statistics of a whole bundle: collected batch by batch, stored for any calibrator."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from pipeline.core.errors import QuantizationError
from pipeline.graphs.files import load_graph
from pipeline.graphs.layers import find_layers
from pipeline.graphs.probe import Feeds, TensorProbe
from pipeline.quantization.calibration.channels import ChannelStatistics, channel_rows
from pipeline.quantization.calibration.histogram import Histogram
from pipeline.quantization.calibration.recording import split_phases

SUMMARY = "calibration.json"

Phases = dict[str, Histogram]
ChannelPhases = dict[str, ChannelStatistics]


@dataclass
class GraphStatistics:
    """Statistics of one graph: tensor name, then phase (``text``, ``code`` or ``all``).

    Attributes:
        tensors: histograms over all of a tensor's values.
        channels: largest magnitude and mean of each channel.
    """

    tensors: dict[str, Phases] = field(default_factory=dict)
    channels: dict[str, ChannelPhases] = field(default_factory=dict)

    def merged(self, tensor: str) -> Histogram:
        """The histogram of a tensor over all phases.

        Raises:
            QuantizationError: the tensor was not calibrated.
        """
        if tensor not in self.tensors:
            raise QuantizationError(
                f"found no calibration of tensor '{tensor}'; run the calibrate stage again"
            )
        phases = list(self.tensors[tensor].values())
        total = phases[0]
        for phase in phases[1:]:
            total = total.merged(phase)
        return total

    def merged_channels(self, tensor: str) -> ChannelStatistics:
        """Statistics of each channel of a tensor over all phases.

        Raises:
            QuantizationError: the tensor was not calibrated.
        """
        if tensor not in self.channels:
            raise QuantizationError(
                f"found no calibration of tensor '{tensor}'; run the calibrate stage again"
            )
        first, *others = self.channels[tensor].values()
        for phase in others:
            first = first.merged(phase)
        return first

    def add(self, other: GraphStatistics) -> None:
        """Take in what another run over the same graph saw."""
        for tensor, phases in other.tensors.items():
            known = self.tensors.setdefault(tensor, {})
            for phase, histogram in phases.items():
                known[phase] = known[phase].merged(histogram) if phase in known else histogram
        for tensor, parts in other.channels.items():
            seen = self.channels.setdefault(tensor, {})
            for phase, part in parts.items():
                seen[phase] = seen[phase].merged(part) if phase in seen else part


def calibrated_tensors(path: Path) -> dict[str, int]:
    """Activations of a graph whose range INT8 may need, with their axis of channels.

    Those are inputs of MatMul, Gemm and Conv, and what a Conv writes, whatever is excluded later.
    """
    layers, _ = find_layers(load_graph(path).graph, ("MatMul", "Gemm", "Conv"), ())
    axes: dict[str, int] = {}
    for layer in layers:
        axis = 1 if layer.node.op_type == "Conv" else -1
        axes.setdefault(layer.activation.name or "", axis)
    for layer in layers:
        if layer.node.op_type == "Conv":
            axes.setdefault(layer.node.outputs[0].name or "", 1)
    return axes


def collect(path: Path, graph: str, batches: Iterable[Feeds], bins: int) -> GraphStatistics:
    """Run ``graph`` over ``batches`` and count its activations; one batch is held at a time."""
    axes = calibrated_tensors(path)
    probe = TensorProbe(path, axes)
    statistics = GraphStatistics()
    for feeds in batches:
        for name, value in probe.run(feeds).items():
            phases = statistics.tensors.setdefault(name, {})
            channels = statistics.channels.setdefault(name, {})
            for phase, part in split_phases(graph, value, feeds):
                phases.setdefault(phase, Histogram(bins)).update(part)
                rows = channel_rows(part, axes[name])
                width = rows.shape[-1]
                channels.setdefault(phase, ChannelStatistics.empty(width)).update(rows)
    return statistics


def save_statistics(
    folder: Path, graphs: Mapping[str, GraphStatistics], sources: Mapping[str, str]
) -> None:
    """Write ``calibration.json`` (ranges, for people) and ``<graph>.npz`` (histograms).

    ``sources`` maps files of the calibrated bundle to their sha256.
    """
    summary: dict[str, Any] = {"sources": dict(sources), "graphs": {}}
    for graph, statistics in graphs.items():
        rows: list[list[Any]] = []
        counts, limits, channels = [], [], []
        for tensor, phases in statistics.tensors.items():
            for phase, histogram in phases.items():
                rows.append([tensor, phase, histogram.minimum, histogram.maximum])
                counts.append(histogram.counts)
                limits.append(histogram.limit)
                channels.append(statistics.channels[tensor][phase])
                rows[-1] += [len(channels[-1].largest), channels[-1].count]
        np.savez_compressed(
            folder / f"{graph}.npz",
            counts=np.array(counts),
            limits=np.array(limits),
            # channels of all rows in one array, since tensors differ in how many they have
            largest=np.concatenate([part.largest for part in channels]),
            total=np.concatenate([part.total for part in channels]),
        )
        columns = ("tensor", "phase", "minimum", "maximum", "channels", "values")
        summary["graphs"][graph] = [dict(zip(columns, row, strict=True)) for row in rows]
    text = json.dumps(summary, indent=1, ensure_ascii=False) + "\n"
    (folder / SUMMARY).write_text(text, encoding="utf-8")


def load_statistics(folder: Path, sources: Mapping[str, str]) -> dict[str, GraphStatistics]:
    """Read what :func:`save_statistics` wrote.

    Raises:
        QuantizationError: a file is missing or damaged, or other ``sources`` were calibrated.
    """
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        if summary["sources"] != dict(sources):
            raise QuantizationError(
                f"{folder}: found a calibration of other graphs, expected one of this FP32 bundle; "
                "run the calibrate stage again"
            )
        return {
            graph: _load_graph_statistics(folder / f"{graph}.npz", rows)
            for graph, rows in summary["graphs"].items()
        }
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise QuantizationError(
            f"{folder}: found no whole calibration ({type(error).__name__}: {error}); "
            "run the calibrate stage again"
        ) from error


def _load_graph_statistics(path: Path, rows: list[dict[str, Any]]) -> GraphStatistics:
    statistics = GraphStatistics()
    with np.load(path) as arrays:
        counts, limits = arrays["counts"], arrays["limits"]
        moments = [arrays[name] for name in ("largest", "total")]
    start = 0
    for row, count, limit in zip(rows, counts, limits, strict=True):
        histogram = Histogram(len(count), row["minimum"], row["maximum"], float(limit))
        histogram.counts[:] = count
        statistics.tensors.setdefault(row["tensor"], {})[row["phase"]] = histogram
        part = slice(start, start + row["channels"])
        largest, total = (array[part] for array in moments)
        channels = ChannelStatistics(largest, total, row["values"])
        statistics.channels.setdefault(row["tensor"], {})[row["phase"]] = channels
        start = part.stop
    return statistics
