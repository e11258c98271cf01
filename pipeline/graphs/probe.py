"""Sessions that show what happens inside a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from pipeline.core.errors import QuantizationError
from pipeline.graphs.files import load_graph

Array = NDArray[Any]
Feeds = Mapping[str, Array]

_ELEMENT_TYPES = {
    "tensor(float)": ir.DataType.FLOAT,
    "tensor(float16)": ir.DataType.FLOAT16,
    "tensor(double)": ir.DataType.DOUBLE,
    "tensor(bool)": ir.DataType.BOOL,
    "tensor(int32)": ir.DataType.INT32,
    "tensor(int64)": ir.DataType.INT64,
    "tensor(int8)": ir.DataType.INT8,
    "tensor(uint8)": ir.DataType.UINT8,
}


THREADS = 2
"""Threads of every run that a bundle's bytes come from, whatever the machine has.

ONNX Runtime cuts a convolution into as many parts as it has threads, and the last digits of its
sums go by the cut: with a core less, ``vocos`` would get other ranges."""


def open_model(model: ir.Model, folder: Path, optimize: bool = True) -> ort.InferenceSession:
    """A CPU session of ``model``, whose external weights lie in ``folder``.

    The graph itself is passed in memory, so nothing is written beside the weights.

    Raises:
        QuantizationError: ONNX Runtime refuses the graph.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = THREADS
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(folder)
    )
    content = ir.serde.serialize_model(model).SerializeToString()
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise QuantizationError(
            f"graph '{model.graph.name}' of {folder}: ONNX Runtime cannot open it: {error}"
        ) from error


def activations(model: ir.Model) -> list[ir.Value]:
    """Values that a node computes and something reads, in the order of the nodes."""
    outputs = {id(value) for value in model.graph.outputs}
    return [
        value
        for node in model.graph
        for value in node.outputs
        if value.name and (value.uses() or id(value) in outputs)
    ]


def element_types(path: Path) -> dict[str, ir.DataType]:
    """Element type of every activation of a graph, by name, as ONNX Runtime infers them.

    ONNX's own shape inference stops at operators of other domains.
    """
    model = load_graph(path)
    values = activations(model)
    _add_outputs(model, values)
    session = open_model(model, path.parent, optimize=False)
    return {output.name: _ELEMENT_TYPES[output.type] for output in session.get_outputs()}


class TensorProbe:
    """Runs a graph and returns chosen activations in whole."""

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        model = load_graph(path)
        computed = {value.name: value for value in activations(model)}
        self._inputs = {value.name for value in model.graph.inputs}
        self._names = list(dict.fromkeys(names))
        wanted = [name for name in self._names if name not in self._inputs]
        _add_outputs(model, [computed[name] for name in wanted])
        self._wanted = wanted
        self._session = open_model(model, path.parent)

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Values by name; a chosen name that is a graph input gives what was fed."""
        # with an empty list of names ONNX Runtime returns everything
        results = self._session.run(self._wanted, dict(feeds)) if self._wanted else []
        found = dict(zip(self._wanted, results, strict=True))
        fed = {name: np.asarray(feeds[name]) for name in self._names if name in self._inputs}
        return {**fed, **found}


class MagnitudeProbe:
    """Runs a graph and keeps only the largest magnitude of each float activation.

    The maximum is taken inside the graph, so that memory is that of a normal run.
    """

    def __init__(self, path: Path, types: Mapping[str, ir.DataType]) -> None:
        model = load_graph(path)
        graph = model.graph
        floats = [v for v in activations(model) if types.get(v.name or "") == ir.DataType.FLOAT]
        floats += [v for v in graph.inputs if v.dtype == ir.DataType.FLOAT]
        self._outputs: dict[str, str] = {}
        for value in floats:
            largest = _append_magnitude(graph, value)
            self._outputs[largest.name or ""] = value.name or ""
        self._session = open_model(model, path.parent)
        self.magnitudes: dict[str, float] = dict.fromkeys(self._outputs.values(), 0.0)

    def run(self, feeds: Feeds) -> None:
        """Run once and raise the kept magnitudes.

        Raises:
            QuantizationError: an activation is not finite.
        """
        results = self._session.run(list(self._outputs), dict(feeds))
        for name, result in zip(self._outputs.values(), results, strict=True):
            value = float(result)
            if not np.isfinite(value):
                raise QuantizationError(
                    f"tensor '{name}': found {value} in the FP32 run, expected finite "
                    "activations; check the FP32 bundle"
                )
            self.magnitudes[name] = max(self.magnitudes[name], value)


def _append_magnitude(graph: ir.Graph, value: ir.Value) -> ir.Value:
    absolute = ir.node("Abs", [value])
    largest = ir.node("ReduceMax", [absolute.outputs[0]], attributes={"keepdims": 0})
    output = largest.outputs[0]
    output.name = f"{value.name}/magnitude"
    graph.extend([absolute, largest])
    output.dtype, output.shape = ir.DataType.FLOAT, ir.Shape([])
    graph.outputs.append(output)
    return output


def _add_outputs(model: ir.Model, values: Sequence[ir.Value]) -> None:
    present = {id(value) for value in model.graph.outputs}
    model.graph.outputs.extend(value for value in values if id(value) not in present)
