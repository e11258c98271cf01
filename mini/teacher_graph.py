"""The teacher's graph in floating point, with its durations as a second output.

The free copy of Kokoro-82M is dynamically quantised; undone, it sounds better (P.808 3.84 instead
of 3.63) and runs faster.  Weights stay the 8-bit values times their scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

# frames of 600 samples that each phoneme lasts, the silence at both ends included
DURATIONS = "/encoder/Clip_output_0"
# what the vocoder reads: [1, 512, 2 frames], and the pitch in Hz [1, 2 frames]
DECODED = "/decoder/decoder/decode.3/Div_4_output_0"
PITCH = "/encoder/Reshape_output_0"


class _Graph:
    """A graph's initializers by name, its nodes by what they make and by what they read."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.stored = {item.name: item for item in graph.initializer}
        self.maker = {name: node for node in graph.node for name in node.output}
        self.readers: dict[str, list[NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.floats: dict[tuple[str, ...], str] = {}

    def only_reader(self, node: NodeProto, kind: str) -> NodeProto:
        """Return the one node that reads ``node``'s first output.

        Raises:
            ValueError: there are others, or it is of another kind.
        """
        readers = self.readers[node.output[0]]
        if len(readers) != 1 or readers[0].op_type != kind:
            found = [reader.op_type for reader in readers]
            raise ValueError(f"{node.name}: found the readers {found}, expected one {kind}")
        return readers[0]

    def array(self, name: str) -> NDArray[np.float32]:
        """Return an initializer's values as floats."""
        return numpy_helper.to_array(self.stored[name]).astype(np.float32)

    def weight(
        self, names: Sequence[str], shape: Sequence[int], order: Sequence[int] | None = None
    ) -> str:
        """Make ``(weight - zero point) * scale`` of three initializers, once, and name it."""
        key = (*names, str(order))
        if key not in self.floats:
            integers, zero, scale = (self.array(name) if name else np.float32(0) for name in names)
            zero = zero.reshape(shape) if np.size(zero) > 1 else zero
            scale = scale.reshape(shape) if np.size(scale) > 1 else scale
            values = (integers - zero) * scale
            values = values if order is None else values.transpose(order)
            self.floats[key] = f"{names[0]}.float{len(self.floats)}"
            self.graph.initializer.append(
                numpy_helper.from_array(np.ascontiguousarray(values), self.floats[key])
            )
        return self.floats[key]


def _product(graph: _Graph, node: NodeProto) -> tuple[NodeProto, NodeProto]:
    """Return the float form of a ConvInteger or MatMulInteger and the node that it replaces."""
    source = graph.maker[node.input[0]]
    bias = ""
    after = graph.readers[node.output[0]][0]
    if after.op_type == "Add":
        bias = next(name for name in after.input if name != node.output[0])
        while bias in graph.maker:
            bias = graph.maker[bias].input[0]
    else:
        after = node
    last = graph.only_reader(graph.only_reader(after, "Cast"), "Mul")
    factor = next(name for name in last.input if graph.maker[name].op_type == "Mul")
    scale = next(name for name in graph.maker[factor].input if name != source.output[1])
    zero = node.input[3] if len(node.input) > 3 else ""
    convolution = node.op_type == "ConvInteger"
    rank = len(graph.stored[node.input[1]].dims)
    shape = [-1] + [1] * (rank - 1) if convolution else [-1]
    weight = graph.weight((node.input[1], zero, scale), shape)
    inputs = [source.input[0], weight, *([bias] if bias else [])]
    kind = "Conv" if convolution else "MatMul"
    made = helper.make_node(kind, inputs, [last.output[0]], name=f"{node.name}.float")
    made.attribute.extend(node.attribute)
    return made, last


def _lstm(graph: _Graph, node: NodeProto) -> NodeProto:
    """Return the float form of a DynamicQuantizeLSTM."""
    names = list(node.input)
    weights = [
        graph.weight((names[i], names[zero], names[scale]), (-1, 1, 1), (0, 2, 1))
        if graph.array(names[scale]).ndim < 2
        else graph.weight(
            (names[i], names[zero], names[scale]), (graph.array(names[scale]).shape[0], 1, -1),
            (0, 2, 1),
        )
        for i, scale, zero in ((1, 8, 9), (2, 10, 11))
    ]  # fmt: skip
    inputs = [names[0], *weights, *names[3:8]]
    while not inputs[-1]:
        inputs.pop()
    made = helper.make_node("LSTM", inputs, list(node.output), name=f"{node.name}.float")
    made.attribute.extend(node.attribute)
    return made


def in_floats(model: ModelProto, audio: bool) -> ModelProto:
    """Undo dynamic quantization in place and add three outputs; without ``audio``, only those."""
    graph = _Graph(model.graph)
    replaced: dict[str, NodeProto] = {}
    for node in model.graph.node:
        if node.op_type in ("ConvInteger", "MatMulInteger"):
            if node.input[1] in graph.stored:
                made, last = _product(graph, node)
                replaced[last.output[0]] = made
        elif node.op_type == "DynamicQuantizeLSTM":
            replaced[node.output[0]] = _lstm(graph, node)
    if not audio:
        del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in (DURATIONS, DECODED, PITCH)
    )
    needed = {item.name for item in model.graph.output}
    kept: list[NodeProto] = []
    for node in reversed(model.graph.node):
        current = replaced.get(node.output[0], node)
        if needed.intersection(current.output):
            kept.append(current)
            needed.update(name for name in current.input if name)
    used = [item for item in model.graph.initializer if item.name in needed]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(reversed(kept))
    model.graph.initializer.extend(used)
    return model
