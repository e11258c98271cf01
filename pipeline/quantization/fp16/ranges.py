"""What must stay FP32, found by a reference run: range, reduction depth, constants, names.

The rules follow NVIDIA Model-Optimizer's autocast: a node stays in high precision when the data it
touches leaves a safe range, when it sums very many terms, or when it is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from pipeline.core.errors import QuantizationError
from pipeline.graphs.files import matching_pattern, reduction_depth
from pipeline.quantization.config import Fp16Config

FP16_MAX = 65504.0
FP16_SMALLEST_NORMAL = 2.0**-14
CACHE_OPERATORS = ("GroupQueryAttention",)
"""Operators whose cache is FP16 by the bundle's interface, so that they cannot stay FP32."""


@dataclass(frozen=True)
class Kept:
    """A node that stays FP32; ``value`` is the number that decided, where there is one."""

    node: str
    op_type: str
    reason: str
    detail: str
    value: float | None


def find_kept(
    graph: ir.Graph,
    magnitudes: Mapping[str, float],
    types: Mapping[str, ir.DataType],
    config: Fp16Config,
) -> list[Kept]:
    """Nodes of ``graph`` that stay FP32, in graph order.

    Args:
        graph: the FP32 graph; its nodes have unique names.
        magnitudes: largest magnitude of each float activation in the reference run.
        types: element types of activations.
        config: the rules.

    Raises:
        QuantizationError: the cache would overflow FP16, or a rule names an attention operator.
    """
    kept = []
    for node in graph:
        if not _touches_float(node, types):
            continue
        found = _reason(node, magnitudes, config)
        if node.op_type in CACHE_OPERATORS:
            _check_cache_operator(node, magnitudes, found)
        elif found is not None:
            kept.append(found)
    return kept


def _touches_float(node: ir.Node, types: Mapping[str, ir.DataType]) -> bool:
    values = [*(v for v in node.inputs if v is not None), *node.outputs]
    return any(
        types.get(value.name or "", value.dtype) == ir.DataType.FLOAT
        or (value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT)
        for value in values
    )


def _reason(node: ir.Node, magnitudes: Mapping[str, float], config: Fp16Config) -> Kept | None:
    def kept(reason: str, detail: str, value: float | None = None) -> Kept:
        return Kept(node.name or "", node.op_type, reason, detail, value)

    if node.op_type in config.keep_op_types:
        return kept("operator", node.op_type)
    pattern = matching_pattern(node, config.keep_names)
    if pattern is not None:
        return kept("name", pattern)
    depth = reduction_depth(node)
    if depth is not None and depth > config.max_reduction_depth:
        return kept("reduction depth", f"more than {config.max_reduction_depth} terms", depth)
    values = [*(v for v in node.inputs if v is not None), *node.outputs]
    for value in values:
        largest = magnitudes.get(value.name or "", 0.0)
        if largest > config.max_range:
            return kept("range", value.name or "", largest)
    for value in values:
        extreme = _unsafe_constant(value, config.max_range)
        if extreme is not None:
            return kept("constant", value.name or "", extreme)
    return None


def _unsafe_constant(value: ir.Value, max_range: float) -> float | None:
    """A scalar that FP16 rounds to zero or to a subnormal, or a weight beyond the range."""
    tensor = value.const_value
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or not value.is_initializer():
        return None
    array = np.abs(tensor.numpy())
    if array.size == 0:
        return None
    largest = float(array.max())
    if largest > max_range:
        return largest
    if array.size == 1 and 0 < largest < FP16_SMALLEST_NORMAL:
        return largest
    return None


def _check_cache_operator(
    node: ir.Node, magnitudes: Mapping[str, float], found: Kept | None
) -> None:
    largest = max(
        (magnitudes.get(v.name or "", 0.0) for v in (*node.inputs, *node.outputs) if v is not None),
        default=0.0,
    )
    if largest > FP16_MAX / 2:
        raise QuantizationError(
            f"node '{node.name}': found attention values up to {largest:.0f}, expected at most "
            f"{FP16_MAX / 2:.0f}, since the cache is FP16; this checkpoint has no FP16 form"
        )
    if found is not None and found.reason in ("operator", "name"):
        raise QuantizationError(
            f"node '{node.name}': found it among the nodes to keep FP32 ({found.detail}), "
            f"expected {node.op_type} to be FP16 as the cache is; take it out of "
            "precision.fp16.keep_op_types or keep_names"
        )
