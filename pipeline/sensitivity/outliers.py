"""Ranges and outlier channels of activations, text and code positions apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.quantization.calibration.statistics import GraphStatistics
from pipeline.search.space import LayerInfo

OUTLIER = 6.0
"""A channel is an outlier whose largest magnitude is this many times the median channel's."""


@dataclass(frozen=True)
class PhaseRange:
    """One tensor over the positions of one phase.

    Attributes:
        graph: its graph.
        tensor: its name.
        readers: names of the layers that read it.
        phase: ``text``, ``code`` or ``all``.
        minimum: smallest value.
        maximum: largest value.
        ratio: largest magnitude of the widest channel against the median channel's.
        channels: indices of outlier channels, the widest first.
    """

    graph: str
    tensor: str
    readers: tuple[str, ...]
    phase: str
    minimum: float
    maximum: float
    ratio: float
    channels: tuple[int, ...]


def phase_ranges(
    graphs: Mapping[str, GraphStatistics], layers: Iterable[LayerInfo]
) -> Iterator[PhaseRange]:
    """Every calibrated tensor and phase, in graph order; ``layers`` are those that read them."""
    readers: dict[tuple[str, str], tuple[str, ...]] = {}
    for layer in layers:
        place = (layer.graph, layer.activation)
        readers[place] = (*readers.get(place, ()), layer.name)
    for graph, statistics in graphs.items():
        for tensor, phases in statistics.tensors.items():
            for phase, histogram in phases.items():
                largest = statistics.channels[tensor][phase].largest
                if histogram.total == 0:
                    continue
                median = max(float(np.median(largest)), 1e-12)
                order = np.argsort(-largest, kind="stable")
                outliers = tuple(int(i) for i in order if largest[i] > OUTLIER * median)
                yield PhaseRange(
                    graph, tensor, readers.get((graph, tensor), ()), phase, histogram.minimum,
                    histogram.maximum, float(largest.max()) / median, outliers,
                )  # fmt: skip


def shared(ranges: list[PhaseRange]) -> dict[tuple[str, str], tuple[int, ...]]:
    """Outlier channels that text and code positions have in common, by graph and tensor."""
    seen: dict[tuple[str, str], dict[str, tuple[int, ...]]] = {}
    for entry in ranges:
        seen.setdefault((entry.graph, entry.tensor), {})[entry.phase] = entry.channels
    return {
        key: tuple(sorted(set(phases["text"]) & set(phases["code"])))
        for key, phases in seen.items()
        if {"text", "code"} <= set(phases)
    }
