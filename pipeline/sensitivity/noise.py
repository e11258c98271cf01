"""Signal to quantization noise of every weight, activation and layer output.

The same three figures as ``onnxruntime.quantization.qdq_loss_debug`` gives, with two differences:
an output's noise is told apart into what its own layer adds (``alone``) and what has gathered up to
there (``accumulated``), and activations of text and code positions are kept apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.graphs.files import load_graph
from pipeline.graphs.layers import Layer, find_layers
from pipeline.graphs.probe import Feeds, TensorProbe
from pipeline.quantization.calibration.recording import split_phases
from pipeline.quantization.calibration.statistics import GraphStatistics
from pipeline.quantization.calibration.thresholds import activation_range
from pipeline.quantization.config import Int8Config
from pipeline.quantization.integers import (
    ActivationScale,
    activation_scale,
    rounded_activation,
    rounded_weight,
)
from pipeline.quantization.targets import TARGETS

Array = NDArray[Any]

CEILING_DB = 200.0
"""Stands for an exact match."""


@dataclass
class Power:
    """Energies of a signal and of its noise, summed over batches."""

    signal: float = 0.0
    noise: float = 0.0

    def add(self, exact: Array, found: Array) -> None:
        """Take in one pair of equal shape."""
        self.signal += float(np.square(exact, dtype=np.float64).sum())
        self.noise += float(np.square(exact - found, dtype=np.float64).sum())

    @property
    def sqnr_db(self) -> float:
        """10·log10(signal / noise), at most :data:`CEILING_DB`; NaN where nothing was seen."""
        if self.signal == 0.0:
            return math.nan
        if self.noise == 0.0:
            return CEILING_DB
        return min(10 * math.log10(self.signal / self.noise), CEILING_DB)


@dataclass
class LayerNoise:
    """SQNR of one layer.

    Attributes:
        graph: its graph.
        layer: its node's name.
        weight: of its integers.
        activations: of what it reads, by phase (``text``, ``code`` or ``all``).
        alone: of what it writes, where it alone is quantized (MatMul only).
        accumulated: of what it writes in the graph that is quantized as a whole.
    """

    graph: str
    layer: str
    weight: Power = field(default_factory=Power)
    activations: dict[str, Power] = field(default_factory=dict)
    alone: Power | None = None
    accumulated: Power = field(default_factory=Power)


def layer_noise(
    graph: str,
    path: Path,
    quantized: Path,
    statistics: GraphStatistics,
    config: Int8Config,
    batches: Iterable[Feeds],
) -> list[LayerNoise]:
    """Noise of each layer that ``config`` quantizes, in graph order.

    Args:
        graph: the graph's name.
        path: its FP32 form.
        quantized: its INT8 form.
        statistics: calibration of ``path``.
        config: how it was quantized.
        batches: inputs to run both with.
    """
    layers, _ = find_layers(load_graph(path).graph, config.op_types, config.exclude_names, graph)
    scales = dict(_scales(layers, statistics, config))
    weights = {layer.name: _rounded(layer, config) for layer in layers}
    found = {layer.name: LayerNoise(graph, layer.name) for layer in layers}
    for layer in layers:
        found[layer.name].weight.add(*weights[layer.name])
    read = [layer.activation.name or "" for layer in layers]
    written = [layer.node.outputs[0].name or "" for layer in layers]
    exact_probe, found_probe = TensorProbe(path, [*read, *written]), TensorProbe(quantized, written)
    for feeds in batches:
        exact, noisy = exact_probe.run(feeds), found_probe.run(feeds)
        for layer in layers:
            entry, tensor = found[layer.name], layer.activation.name or ""
            output = layer.node.outputs[0].name or ""
            entry.accumulated.add(exact[output], noisy[output])
            _add_activation(entry, graph, exact[tensor], scales[tensor], feeds)
            if layer.node.op_type == "MatMul":
                weight = weights[layer.name][1]
                product = rounded_activation(exact[tensor], scales[tensor]) @ weight
                entry.alone = entry.alone or Power()
                entry.alone.add(exact[output], product)
    return list(found.values())


def _scales(
    layers: Iterable[Layer], statistics: GraphStatistics, config: Int8Config
) -> Iterator[tuple[str, ActivationScale]]:
    target = TARGETS[config.target]
    symmetric = target.activation == "int8"
    for name in dict.fromkeys(layer.activation.name or "" for layer in layers):
        limits = activation_range(
            statistics.merged(name), config.calibrator, config.percentile, symmetric
        )
        yield name, activation_scale(limits, target)


def _rounded(layer: Layer, config: Int8Config) -> tuple[Array, Array]:
    """A layer's weights, and what their integers stand for."""
    assert layer.weight.const_value is not None
    weight = layer.weight.const_value.numpy()
    limit = TARGETS[config.target].weight_limit
    return weight, rounded_weight(weight, layer.channel_axis, limit)


def _add_activation(
    entry: LayerNoise, graph: str, values: Array, scale: ActivationScale, feeds: Mapping[str, Array]
) -> None:
    for phase, part in split_phases(graph, values, feeds):
        entry.activations.setdefault(phase, Power()).add(part, rounded_activation(part, scale))
