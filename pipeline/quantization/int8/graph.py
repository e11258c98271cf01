"""One graph from FP32 to static W8A8."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from pipeline.graphs.files import load_graph, matching_pattern, save_graph
from pipeline.graphs.layers import Exclusion, Layer, find_layers
from pipeline.quantization.calibration.statistics import GraphStatistics
from pipeline.quantization.calibration.thresholds import activation_range
from pipeline.quantization.config import Int8Config
from pipeline.quantization.embeddings import quantize_embeddings
from pipeline.quantization.fused import check_fused, optimized_operators
from pipeline.quantization.int8.bias_correction import add_to_output, mean_error
from pipeline.quantization.int8.qdq import QdqInserter
from pipeline.quantization.integers import rounded_weight
from pipeline.quantization.kv_cache import quantize_cache
from pipeline.quantization.targets import TARGETS
from pipeline.quantization.weight_only import rtn
from pipeline.quantization.weight_only.blocks import BlockFormat
from pipeline.quantization.weight_only.matmul_nbits import OP_TYPE, replace_matmul

Array = NDArray[Any]

BLOCKS = BlockFormat(bits=8, block_size=32, symmetric=True)
"""Form of the layers of ``repairs.blocks``; activations get a scale a block at run time."""

WIDE_HEADROOM = 4.0
"""Range of 16-bit activations, as a multiple of the calibrated one.

Gated activations of other sentences go beyond what calibration saw; what is cut turned single
hidden states by up to 17 degrees.  Two of 16 bits cost nothing that can be measured.
"""

INTEGER_ACTIVATIONS = 4
"""MatMulNBits's accuracy level that multiplies integers."""


@dataclass(frozen=True)
class Int8Graph:
    """What became of one graph.

    Attributes:
        quantized: name of each quantized node and its operator; a MatMul with 16-bit activations
            stands there twice.
        embeddings: Gather nodes whose tables became INT8 rows.
        excluded: MatMul, Gemm and Conv nodes that stay float, with the reason.
        operators: operators that ONNX Runtime's CPU provider runs, counted after optimization.
        corrections: nodes that bias correction had to add.
    """

    quantized: Mapping[str, str]
    embeddings: list[str]
    excluded: list[Exclusion]
    operators: Mapping[str, int]
    corrections: int = 0

    def quantized_counts(self) -> dict[str, int]:
        """Quantized nodes per operator."""
        return dict(sorted(Counter(self.quantized.values()).items()))


def quantize_graph(
    source: Path,
    graph: str,
    statistics: GraphStatistics,
    config: Int8Config,
    destination: Path,
    count_operators: bool = True,
    cache: Array | None = None,
) -> Int8Graph:
    """Write ``destination``, the INT8 form of the FP32 graph ``source``.

    Args:
        source: the FP32 graph.
        graph: its name in the bundle.
        statistics: of its activations.
        config: formats, ranges and repairs.
        destination: the .onnx to write.
        count_operators: let ONNX Runtime optimize the graph and count what it runs; a search that
            opens the graph anyway saves the time.
        cache: scales of INT8 keys and values, see :func:`.kv_cache.quantize_cache`.

    Raises:
        QuantizationError: a tensor lacks statistics, or a quantized node would run in float
            (with ``config.require_fused``).
    """
    model = load_graph(source)
    target = TARGETS[config.target]
    plan = _Plan.of(model.graph, graph, config)
    corrections = sum(
        _correct(model.graph, layer, statistics, target.weight_limit)
        for layer in [*plan.static, *plan.wide]
        if matching_pattern(layer.node, config.repairs.bias_correction, graph) is not None
    )
    if config.repairs.bias_correction:
        # a Conv may have got a bias
        plan = _Plan.of(model.graph, graph, config)

    def range_of(tensor: str) -> tuple[float, float]:
        symmetric = target.activation == "int8"
        histogram = statistics.merged(tensor)
        return activation_range(histogram, config.calibrator, config.percentile, symmetric)

    names = plan.names()
    for layer in plan.blocks:
        assert layer.weight.const_value is not None
        weight = np.ascontiguousarray(layer.weight.const_value.numpy().T)
        made = rtn.quantize(weight, BLOCKS, 0)
        replace_matmul(model, layer, made, INTEGER_ACTIVATIONS)
    inserter = QdqInserter(model.graph, target, range_of)
    for layer in plan.wide:
        histogram = statistics.merged(layer.activation.name or "")
        low, high = activation_range(histogram, "minmax", 100)
        inserter.insert_wide(layer, (WIDE_HEADROOM * low, WIDE_HEADROOM * high))
    inserter.insert(plan.static)
    embeddings: list[str] = []
    if config.embedding_tables:
        embeddings = quantize_embeddings(model.graph, config.exclude_names)
    if cache is not None:
        quantize_cache(model.graph, cache)
    save_graph(model, destination)
    operators = optimized_operators(destination) if count_operators else {}
    result = Int8Graph(names, embeddings, plan.excluded, operators, corrections)
    if config.require_fused and count_operators:
        check_fused(graph, result.quantized_counts(), operators, target)
    return result


@dataclass(frozen=True)
class _Plan:
    """Which layers are quantized in which way."""

    static: list[Layer]
    wide: list[Layer]
    blocks: list[Layer]
    excluded: list[Exclusion]

    @classmethod
    def of(cls, graph: ir.Graph, name: str, config: Int8Config) -> _Plan:
        layers, excluded = find_layers(graph, config.op_types, config.exclude_names, name)

        def matches(layer: Layer, patterns: Sequence[str]) -> bool:
            found = layer.node.op_type == "MatMul"
            return found and matching_pattern(layer.node, patterns, name) is not None

        blocks = [layer for layer in layers if matches(layer, config.repairs.blocks)]
        rest = [layer for layer in layers if layer not in blocks]
        wide = [layer for layer in rest if matches(layer, config.repairs.wide_activations)]
        return cls([layer for layer in rest if layer not in wide], wide, blocks, excluded)

    def names(self) -> dict[str, str]:
        """Every integer product and its operator."""
        return {
            **{layer.name: layer.node.op_type for layer in self.static},
            **{name: "MatMul" for w in self.wide for name in (w.name, f"{w.name}/lower")},
            **{layer.name: OP_TYPE for layer in self.blocks},
        }


def _correct(graph: ir.Graph, layer: Layer, statistics: GraphStatistics, limit: int) -> bool:
    """Correct the bias of ``layer``; True where that took a node of its own."""
    tensor = layer.weight.const_value
    assert tensor is not None
    weight = tensor.numpy()
    rounded = rounded_weight(weight, layer.channel_axis, limit)
    mean = statistics.merged_channels(layer.activation.name or "").mean
    return add_to_output(graph, layer, mean_error(layer, weight, rounded, mean))
