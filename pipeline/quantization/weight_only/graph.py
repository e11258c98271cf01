"""One graph from FP32 to weight-only integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import QuantizationError
from pipeline.graphs.files import load_graph, save_graph
from pipeline.graphs.layers import Exclusion, Layer, find_layers
from pipeline.graphs.probe import Feeds
from pipeline.quantization.embeddings import quantize_embeddings
from pipeline.quantization.fused import optimized_operators
from pipeline.quantization.kv_cache import quantize_cache
from pipeline.quantization.weight_only import gptq, rtn
from pipeline.quantization.weight_only.blocks import BlockWeight
from pipeline.quantization.weight_only.config import LayerFormat, WeightOnlyConfig
from pipeline.quantization.weight_only.hessians import hessians
from pipeline.quantization.weight_only.matmul_nbits import OP_TYPE, replace_matmul

Array = NDArray[Any]
Batches = Callable[[], Iterable[Feeds]]


@dataclass(frozen=True)
class QuantizedWeight:
    """What became of one weight.

    Attributes:
        node: the MatMul that reads it.
        weight: its name.
        shape: inputs K and outputs N.
        layout: bits, block size, symmetry and algorithm.
        sqnr_db: 10 log10(|W|^2 / |W - dequantized|^2).
    """

    node: str
    weight: str
    shape: tuple[int, int]
    layout: LayerFormat
    sqnr_db: float


@dataclass(frozen=True)
class WeightOnlyGraph:
    """What became of one graph.

    Attributes:
        quantized: the weights now read by MatMulNBits, in graph order.
        embeddings: Gather nodes whose tables became INT8 rows.
        excluded: MatMul, Gemm and Conv nodes that stay float, with the reason.
        operators: operators that ONNX Runtime's CPU provider runs, counted after optimization.
    """

    quantized: list[QuantizedWeight]
    embeddings: list[str]
    excluded: list[Exclusion]
    operators: Mapping[str, int]

    def formats(self) -> dict[str, int]:
        """Nodes per format, such as ``4 bit, block 32, gptq``."""
        return dict(Counter(format_text(entry.layout) for entry in self.quantized))


def format_text(layout: LayerFormat) -> str:
    """A format as one phrase."""
    kind = "" if layout.symmetric else ", zero points"
    return f"{layout.bits} bit, block {layout.block_size}{kind}, {layout.algorithm}"


def quantize_weights(
    source: Path,
    graph: str,
    config: WeightOnlyConfig,
    batches: Batches,
    destination: Path,
    cache: Array | None = None,
) -> WeightOnlyGraph:
    """Write ``destination``, the weight-only form of the FP32 graph ``source``.

    Args:
        source: the FP32 graph.
        graph: its name, which formats may depend on.
        config: formats and algorithms.
        batches: inputs of the graph, called only where a layer's algorithm needs data.
        destination: the .onnx to write.
        cache: scales of INT8 keys and values, see :func:`.kv_cache.quantize_cache`.

    Raises:
        QuantizationError: a Hessian is unusable, or ONNX Runtime does not run every quantized
            layer as MatMulNBits.
    """
    model = load_graph(source)
    layers, excluded = find_layers(model.graph, ("MatMul",), config.exclude_names)
    formats = {layer.name: config.format_of(graph, layer.weight.name or "") for layer in layers}
    quantized: dict[str, QuantizedWeight] = {}
    for layer, hessian in _with_hessians(source, layers, formats, batches):
        chosen = formats[layer.name]
        name = layer.weight.name or ""
        assert layer.weight.const_value is not None
        weight = np.ascontiguousarray(layer.weight.const_value.numpy().T)
        made = _quantize(weight, chosen, config, hessian)
        quantized[layer.name] = QuantizedWeight(
            layer.name, name, (weight.shape[1], weight.shape[0]), chosen, _sqnr(weight, made)
        )
        replace_matmul(model, layer, made, config.accuracy_level)
    embeddings: list[str] = []
    if config.embedding_tables:
        embeddings = quantize_embeddings(model.graph, config.exclude_names)
    if cache is not None:
        quantize_cache(model.graph, cache)
    save_graph(model, destination)
    operators = optimized_operators(destination)
    _check_executed(graph, len(quantized), operators)
    ordered = [quantized[layer.name] for layer in layers]
    return WeightOnlyGraph(ordered, embeddings, excluded, operators)


def _with_hessians(
    source: Path,
    layers: list[Layer],
    formats: Mapping[str, LayerFormat],
    batches: Batches,
) -> Iterator[tuple[Layer, Array | None]]:
    """Every layer once, those that need data with the Hessian of what they read."""
    readers: dict[str, list[Layer]] = {}
    widths: dict[str, int] = {}
    for layer in layers:
        if formats[layer.name].algorithm != "gptq":
            yield layer, None
            continue
        name = layer.activation.name or ""
        readers.setdefault(name, []).append(layer)
        widths[name] = _inputs(layer)
    if not readers:
        return
    for group in hessians(source, widths, batches):
        for name in list(group):
            # given up as they are used, so that two groups are never held at once
            hessian = group.pop(name)
            for layer in readers[name]:
                yield layer, hessian


def _quantize(
    weight: Array, chosen: LayerFormat, config: WeightOnlyConfig, hessian: Array | None
) -> BlockWeight:
    if hessian is not None:
        return gptq.quantize(weight, hessian, chosen.layout, config.scale_search, config.damping)
    return rtn.quantize(weight, chosen.layout, config.scale_search)


def _inputs(layer: Layer) -> int:
    tensor = layer.weight.const_value
    assert tensor is not None
    return int(tensor.shape.numpy()[0])


def _sqnr(weight: Array, made: BlockWeight) -> float:
    noise = float(np.square(weight - made.dequantized()).sum(dtype=np.float64))
    signal = float(np.square(weight).sum(dtype=np.float64))
    return float("inf") if noise == 0 else 10 * float(np.log10(max(signal, 1e-300) / noise))


def _check_executed(graph: str, quantized: int, operators: Mapping[str, int]) -> None:
    found = operators.get(OP_TYPE, 0)
    if found != quantized:
        raise QuantizationError(
            f"graph '{graph}': found {found} {OP_TYPE} after optimization, expected {quantized}, "
            "one for each quantized MatMul; exclude those that are missing by exclude_names"
        )
