"""What each layer costs in fidelity when it alone is quantized: the order of falling back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.fidelity.validate import METRICS
from pipeline.graphs.files import load_graph
from pipeline.graphs.layers import find_layers
from pipeline.graphs.probe import TensorProbe
from pipeline.quantization.calibration.thresholds import activation_range
from pipeline.quantization.config import Int8Config
from pipeline.quantization.integers import (
    activation_scale,
    rounded_activation,
    rounded_weight,
)
from pipeline.quantization.targets import TARGETS
from pipeline.report.rows import Row, select
from pipeline.search.evaluate import Evaluator
from pipeline.search.space import FLOAT, LayerInfo, with_form

Array = NDArray[Any]

LOSS = ("kl_divergence", "mel_l1", "code_agreement", "log_spectral_distance")
"""Metrics that say how much is lost, best first."""


def loss_of(rows: Sequence[Row]) -> float:
    """One number for how much a component lost: mean logit KL, mel error, or codes that differ."""
    for metric in LOSS:
        values = [float(row["value"]) for row in select(rows, metric)]
        if values:
            return abs(float(np.mean(values)) - (METRICS[metric].best or 0.0))
    return 0.0


def only(config: Int8Config, layers: Sequence[LayerInfo], chosen: LayerInfo) -> Int8Config:
    """``config`` with all of ``layers`` but ``chosen`` in float."""
    for layer in layers:
        if layer is not chosen:
            config = with_form(config, layer, FLOAT)
    return config


def measured_effects(evaluator: Evaluator, config: Int8Config, component: str) -> dict[str, float]:
    """Loss of the component with one layer quantized at a time, by the layer's path."""
    layers = evaluator.component_layers(component)
    return {
        layer.path: loss_of(
            evaluator.measure(only(config, layers, layer), component, f"only {layer.path}").rows
        )
        for layer in layers
    }


def computed_noise(evaluator: Evaluator, config: Int8Config, component: str) -> dict[str, float]:
    """Noise-to-signal ratio that quantizing each layer puts into its own output, by path.

    Without running ONNX Runtime once a layer: on the activations of the recordings, for MatMuls;
    a layer of another type counts by its weights' noise only.
    """
    noise: dict[str, float] = {}
    for graph in component.split("+"):
        noise |= graph_noise(evaluator, config, graph)
    return noise


def graph_noise(evaluator: Evaluator, config: Int8Config, graph: str) -> dict[str, float]:
    """See :func:`computed_noise`."""
    builder, target = evaluator.builder, TARGETS[config.target]
    path = builder.source / builder.manifest.graph(graph).file
    statistics = builder.statistics[graph]
    layers, _ = find_layers(load_graph(path).graph, config.op_types, config.exclude_names, graph)
    probe = TensorProbe(path, dict.fromkeys(layer.activation.name or "" for layer in layers))
    inputs = probe.run(next(iter(builder.feeds(graph))))
    noise = {}
    for layer in layers:
        assert layer.weight.const_value is not None
        weight = layer.weight.const_value.numpy()
        rounded = rounded_weight(weight, layer.channel_axis, target.weight_limit)
        name = f"{graph}/{layer.name}"
        if layer.node.op_type != "MatMul":
            noise[name] = _ratio(weight, rounded)
            continue
        tensor = layer.activation.name or ""
        limits = activation_range(
            statistics.merged(tensor), config.calibrator, config.percentile,
            target.activation == "int8",
        )  # fmt: skip
        scale = activation_scale(limits, target)
        x = inputs[tensor].reshape(-1, weight.shape[0])
        noise[name] = _ratio(x @ weight, rounded_activation(x, scale) @ rounded)
    return noise


def _ratio(exact: Array, found: Array) -> float:
    signal = float(np.square(exact, dtype=np.float64).sum())
    return float(np.square(exact - found, dtype=np.float64).sum()) / max(signal, 1e-300)
