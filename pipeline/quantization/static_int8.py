"""One graph from FP32 to static W8A8."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.quantization.config import Int8Config
from pipeline.quantization.embeddings import quantize_embeddings
from pipeline.quantization.fused import check_fused, optimized_operators
from pipeline.quantization.graphs import load_graph, save_graph
from pipeline.quantization.layers import Exclusion, find_layers
from pipeline.quantization.qdq import QdqInserter
from pipeline.quantization.statistics import GraphStatistics
from pipeline.quantization.targets import TARGETS
from pipeline.quantization.thresholds import activation_range


@dataclass(frozen=True)
class Int8Graph:
    """What became of one graph.

    Attributes:
        quantized: name of each quantized node and its operator.
        embeddings: Gather nodes whose tables became INT8 rows.
        excluded: MatMul, Gemm and Conv nodes that stay float, with the reason.
        operators: operators that ONNX Runtime's CPU provider runs, counted after optimization.
    """

    quantized: Mapping[str, str]
    embeddings: list[str]
    excluded: list[Exclusion]
    operators: Mapping[str, int]

    def quantized_counts(self) -> dict[str, int]:
        """Quantized nodes per operator."""
        return dict(sorted(Counter(self.quantized.values()).items()))


def quantize_graph(
    source: Path, graph: str, statistics: GraphStatistics, config: Int8Config, destination: Path
) -> Int8Graph:
    """Write ``destination``, the INT8 form of the FP32 graph ``source``.

    Raises:
        QuantizationError: a tensor lacks statistics, or a quantized node would run in float
            (with ``config.require_fused``).
    """
    model = load_graph(source)
    target = TARGETS[config.target]

    def range_of(tensor: str) -> tuple[float, float]:
        histogram = statistics.merged(tensor)
        return activation_range(histogram, config.calibrator, config.percentile)

    layers, excluded = find_layers(model.graph, config.op_types, config.exclude_names)
    quantized = {layer.name: layer.node.op_type for layer in layers}
    QdqInserter(model.graph, target, range_of).insert(layers)
    embeddings: list[str] = []
    if config.embedding_tables:
        embeddings = quantize_embeddings(model.graph, config.exclude_names)
    save_graph(model, destination)
    operators = optimized_operators(destination)
    result = Int8Graph(quantized, embeddings, excluded, operators)
    if config.require_fused:
        check_fused(graph, result.quantized_counts(), operators, target)
    return result
