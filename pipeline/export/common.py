"""What every graph's exporter shares: its description, the export call, and saving."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from torch import Tensor, nn

from pipeline.core.errors import ExportError
from pipeline.export.naming import name_after_modules

DYNAMIC = torch.export.Dim.DYNAMIC


@dataclass(frozen=True)
class GraphSpec:
    """One graph to export.

    Attributes:
        name: file stem, and name of the graph in a bundle's manifest.
        doc: one sentence, stored as the model's doc string.
        module: takes the flat tensors of ``inputs`` in order, returns a tuple of ``outputs``.
        inputs: example tensors by name; every dynamic size in them is at least 2.
        shapes: per input the sizes' names; a string is dynamic, an integer fixed.
        outputs: per output the sizes' names, in the order that ``module`` returns them.
    """

    name: str
    doc: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    shapes: Mapping[str, Sequence[str | int]]
    outputs: Mapping[str, Sequence[str | int]]


class _Flat(nn.Module):
    """Positional tensors in, flat tuple of tensors out."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *tensors: Tensor) -> Any:
        return self.module(*tensors)


def export_graph(spec: GraphSpec, opset: int) -> ir.Model:
    """Export ``spec`` to an ONNX model with named inputs, outputs and sizes.

    Raises:
        ExportError: the exporter failed, or gave other inputs or outputs than described.
    """
    dynamic = tuple(
        {axis: DYNAMIC for axis, size in enumerate(spec.shapes[name]) if isinstance(size, str)}
        for name in spec.inputs
    )
    with _quiet(), torch.no_grad():
        try:
            program = torch.onnx.export(
                _Flat(spec.module).eval(),
                tuple(spec.inputs.values()),
                dynamo=True,
                opset_version=opset,
                dynamic_shapes=(dynamic,),
                input_names=list(spec.inputs),
                output_names=list(spec.outputs),
                verbose=False,
            )
        except Exception as error:
            raise ExportError(f"graph '{spec.name}': torch.onnx.export failed: {error}") from error
    if program is None:
        raise ExportError(f"graph '{spec.name}': torch.onnx.export returned nothing")
    model: ir.Model = program.model
    _describe(model, spec)
    return model


def _describe(model: ir.Model, spec: GraphSpec) -> None:
    """Give sizes their names and the model its doc string; drop the exporter's stack traces."""
    graph = model.graph
    for kind, values, shapes in (
        ("inputs", graph.inputs, spec.shapes),
        ("outputs", graph.outputs, spec.outputs),
    ):
        found = [value.name for value in values]
        if found != list(shapes):
            raise ExportError(f"graph '{spec.name}': found {kind} {found}, expected {list(shapes)}")
        for value in values:
            value.shape = ir.Shape(shapes[value.name or ""])
    name_after_modules(model)
    graph.name = spec.name
    graph.doc_string = model.doc_string = spec.doc
    model.producer_name = "chattts-onnx"
    model.producer_version = None
    model.metadata_props.clear()
    model.metadata_props.update({"model": "ChatTTS", "graph": spec.name, "precision": "fp32"})
    for node in graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
    for value in graph.initializers.values():
        value.metadata_props.clear()


def save_model(model: ir.Model, folder: Path, name: str) -> None:
    """Write ``<name>.onnx`` with its weights in ``<name>.onnx.data`` and check the result.

    Raises:
        ExportError: ``onnx.checker`` or shape inference refuses the graph.
    """
    path = folder / f"{name}.onnx"
    ir.save(model, path, external_data=f"{path.name}.data", size_threshold_bytes=1024)
    try:
        onnx.checker.check_model(path, full_check=True)
    except Exception as error:
        raise ExportError(f"graph '{name}': onnx.checker refuses it: {error}") from error


def to_numpy(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the tensors as arrays, ready to be fed to a session."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the exporter's remarks on packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
