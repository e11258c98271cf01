"""Static W8A8 in QDQ form: the smallest set of Quantize/DequantizeLinear that ONNX Runtime fuses.

A MatMul gets its activation quantized and its weight stored as INT8 with a scale a column, and
writes float: ONNX Runtime runs that as ``QuantizeLinear`` and ``MatMulIntegerToFloat``.  A Conv
must write integers too where the CPU provider shall run it in integers (``QLinearConv``).  Norms,
residual sums, softmax and everything else are not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from pipeline.graphs.edit import add_constant, insert_behind
from pipeline.graphs.layers import Layer
from pipeline.quantization.integers import ActivationScale, activation_scale, quantize_weight
from pipeline.quantization.targets import Target

Array = NDArray[Any]
RangeOf = Callable[[str], tuple[float, float]]


class QdqInserter:
    """Quantizes layers of one graph in place.

    Args:
        graph: the graph to change.
        target: integer formats.
        range_of: name of an activation to its range (low, high).
    """

    def __init__(self, graph: ir.Graph, target: Target, range_of: RangeOf) -> None:
        self._graph = graph
        self._target = target
        self._range_of = range_of
        self._activations: dict[str, tuple[ir.Value, ActivationScale]] = {}
        self._weights: dict[str, tuple[ir.Value, Array]] = {}

    def insert(self, layers: Sequence[Layer]) -> None:
        """Quantize all ``layers``, then drop weights that nothing reads any more."""
        read = {value.name or "" for layer in layers for value in layer.node.inputs if value}
        for layer in layers:
            self._quantize(layer)
        for name in read & set(self._graph.initializers):
            if not self._graph.initializers[name].uses():
                del self._graph.initializers[name]

    def _quantize(self, layer: Layer) -> None:
        node = layer.node
        activation, scale = self._dequantized_activation(layer.activation)
        weight, weight_scale = self._dequantized_weight(layer)
        if layer.bias is not None and self._target.integer_bias:
            self._quantize_bias(layer, layer.bias, scale.scale * weight_scale)
        node.replace_input_with(0, activation)
        node.replace_input_with(1, weight)
        if node.op_type == "Conv" and self._target.conv_output:
            self._quantize_output(node)

    def insert_wide(self, layer: Layer, limits: tuple[float, float]) -> None:
        """Let a MatMul read 16 bits of its activation over the range ``limits``.

        The upper 8 bits are quantized as ever, what they give too much is quantized again, and its
        product is taken off: the CPU provider has no kernel for 16-bit activations.  (It makes a
        float Gemm of a MatMul and an Add behind it, so that nothing is added.)
        """
        node, value, weight = layer.node, layer.activation, layer.weight
        name = f"{value.name}/wide@{layer.name}"
        upper = activation_scale(limits, self._target)
        lower = activation_scale((-upper.scale / 2, upper.scale / 2), self._target)
        upper_nodes, high = self._pair(value, upper, f"{name}/upper")
        rest = ir.node("Sub", [high, value], name=f"{name}/rest")
        rest.outputs[0].name = f"{name}/left_over"
        rest.outputs[0].dtype, rest.outputs[0].shape = ir.DataType.FLOAT, value.shape
        lower_nodes, low = self._pair(rest.outputs[0], lower, f"{name}/lower")
        weights, _ = self._dequantized_weight(layer)
        second = ir.node("MatMul", [low, weights], name=f"{layer.name}/lower")
        both = [node.outputs[0], second.outputs[0]]
        total = ir.node("Sub", both, name=f"{layer.name}/difference")
        second.outputs[0].name = f"{layer.name}/lower_product"
        node.replace_input_with(0, high)
        node.replace_input_with(1, weights)
        self._graph.insert_before(node, [*upper_nodes, rest, *lower_nodes, second])
        insert_behind(self._graph, node, total)
        if weight.name and not weight.uses():
            del self._graph.initializers[weight.name]

    def _dequantized_activation(self, value: ir.Value) -> tuple[ir.Value, ActivationScale]:
        name = value.name or ""
        if name not in self._activations:
            scale = activation_scale(self._range_of(name), self._target)
            nodes, result = self._pair(value, scale)
            producer = value.producer()
            if producer is not None:
                self._graph.insert_after(producer, nodes)
            else:
                self._graph.insert_before(self._graph[0], nodes)
            self._remember(name, result, scale)
        return self._activations[name]

    def _remember(self, name: str, result: ir.Value, scale: ActivationScale) -> None:
        # under its own name too: what a Conv wrote may be what the next one reads
        self._activations[name] = self._activations[result.name or ""] = (result, scale)

    def _quantize_output(self, node: ir.Node) -> None:
        value = node.outputs[0]
        scale = activation_scale(self._range_of(value.name or ""), self._target)
        uses = list(value.uses())
        is_output = any(output is value for output in self._graph.outputs)
        nodes, result = self._pair(value, scale)
        self._graph.insert_after(node, nodes)
        for use in uses:
            use.node.replace_input_with(use.idx, result)
        self._remember(value.name or "", result, scale)
        if is_output:
            self._rename_output(value, result)

    def _rename_output(self, value: ir.Value, result: ir.Value) -> None:
        """Let ``result`` stand for the graph output ``value``, under its name."""
        name = value.name
        value.name = f"{name}/float"
        result.name = name
        result.shape, result.type = value.shape, value.type
        for index, output in enumerate(self._graph.outputs):
            if output is value:
                self._graph.outputs[index] = result

    def _pair(
        self, value: ir.Value, scale: ActivationScale, name: str = ""
    ) -> tuple[list[ir.Node], ir.Value]:
        """QuantizeLinear and DequantizeLinear of ``value``."""
        name = name or value.name or ""
        parameters = [
            add_constant(self._graph, f"{name}/scale", np.array(scale.scale, np.float32)),
            add_constant(self._graph, f"{name}/zero_point", scale.zero_point_array()),
        ]
        quantize = ir.node("QuantizeLinear", [value, *parameters], name=f"{name}/quantize")
        quantize.outputs[0].name = f"{name}/quantized"
        quantize.outputs[0].dtype = self._target.activation_dtype
        dequantize = ir.node(
            "DequantizeLinear",
            [quantize.outputs[0], *parameters],
            name=f"{name}/dequantize",
        )
        result = dequantize.outputs[0]
        result.name = f"{name}/dequantized"
        result.dtype, result.shape = ir.DataType.FLOAT, value.shape
        return [quantize, dequantize], result

    def _dequantized_weight(self, layer: Layer) -> tuple[ir.Value, Array]:
        weight = layer.weight
        name = weight.name or ""
        if name not in self._weights:
            assert weight.const_value is not None
            quantized, scales = quantize_weight(
                weight.const_value.numpy(), layer.channel_axis, self._target.weight_limit
            )
            result = self._dequantize(name, quantized, scales, layer, layer.channel_axis)
            self._weights[name] = (result, scales)
        return self._weights[name]

    def _quantize_bias(self, layer: Layer, index: int, scales: Array) -> None:
        bias = layer.node.inputs[index]
        if bias is None or bias.const_value is None:
            return
        integers = np.rint(bias.const_value.numpy().reshape(-1) / scales)
        limit = np.iinfo(np.int32)
        integers = integers.clip(limit.min, limit.max).astype(np.int32)
        name = f"{bias.name}@{layer.name}"
        layer.node.replace_input_with(index, self._dequantize(name, integers, scales, layer, 0))

    def _dequantize(
        self, name: str, integers: Array, scales: Array, layer: Layer, axis: int
    ) -> ir.Value:
        inputs = [
            add_constant(self._graph, f"{name}/quantized", integers),
            add_constant(self._graph, f"{name}/scale", scales.astype(np.float32)),
            # always zero, but without it ONNX Runtime does not form QGemm
            add_constant(self._graph, f"{name}/zero_point", np.zeros(len(scales), integers.dtype)),
        ]
        node = ir.node(
            "DequantizeLinear", inputs, attributes={"axis": axis}, name=f"{name}/dequantize"
        )
        self._graph.insert_before(layer.node, node)
        node.outputs[0].name = f"{name}/dequantized"
        node.outputs[0].dtype = ir.DataType.FLOAT
        return node.outputs[0]
