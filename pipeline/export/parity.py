"""Exported graphs against the modules they were made from, in ONNX Runtime.

Every graph runs at every optimization level: levels differ in fusions and in buffer reuse, and a
cache of length zero is the case that has tripped them in other projects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.core.errors import ExportError
from pipeline.export.common import GraphSpec, to_numpy
from pipeline.graphs.facts import GRAPHS

Array = NDArray[Any]
LEVELS = {
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


@dataclass(frozen=True)
class ParityRow:
    """Largest error of one graph at one optimization level over its cases.

    ``max_error`` is absolute; ``relative_error`` is divided by the largest magnitude of the
    reference's output, or by 1 if that is larger.  For integer outputs both are the share of
    values that differ.
    """

    graph: str
    level: str
    cases: int
    max_error: float
    relative_error: float


def check_parity(
    path: Path, spec: GraphSpec, cases: list[Mapping[str, Tensor]], tolerance: float
) -> list[ParityRow]:
    """Compare the graph at ``path`` with ``spec.module`` on ``cases`` at every level.

    Raises:
        ExportError: an error is over ``tolerance``, or a result is not finite.
    """
    with torch.inference_mode():
        expected = [_as_tuple(spec.module(*case.values())) for case in cases]
    rows = []
    for level, value in LEVELS.items():
        options = ort.SessionOptions()
        options.graph_optimization_level = value
        options.log_severity_level = 3
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        errors = [
            error
            for case, outputs in zip(cases, expected, strict=True)
            for error in _errors(session.run(None, to_numpy(case)), outputs)
        ]
        absolute, relative = (max(kind) for kind in zip(*errors, strict=True))
        rows.append(ParityRow(spec.name, level, len(cases), absolute, relative))
        limit = (GRAPHS[spec.name].tolerance if spec.name in GRAPHS else None) or tolerance
        if not relative <= limit:
            raise ExportError(
                f"graph '{spec.name}' at optimization level '{level}': found a relative error of "
                f"{relative:.3g} against the reference, expected at most {limit:g}"
            )
    return rows


def resize(
    spec: GraphSpec, sizes: Mapping[str, int], generator: torch.Generator
) -> dict[str, Tensor]:
    """Draw inputs for ``spec`` with its dynamic sizes replaced; integers keep their range."""
    drawn = {}
    for name, example in spec.inputs.items():
        shape = [sizes[size] if isinstance(size, str) else size for size in spec.shapes[name]]
        if example.is_floating_point():
            drawn[name] = torch.randn(shape, generator=generator) * example.std()
        else:
            top = int(example.max()) + 1
            drawn[name] = torch.randint(0, max(top, 1), shape, generator=generator).to(
                example.dtype
            )
    return drawn


def _errors(found: list[Array], expected: tuple[Tensor, ...]) -> list[tuple[float, float]]:
    return [_error(a, b.numpy()) for a, b in zip(found, expected, strict=True)]


def _error(found: Array, expected: Array) -> tuple[float, float]:
    if found.shape != expected.shape:
        raise ExportError(f"found an output of shape {found.shape}, expected {expected.shape}")
    if not np.issubdtype(expected.dtype, np.floating):
        share = float(np.mean(found != expected)) if expected.size else 0.0
        return share, share
    absolute = float(np.max(np.abs(found - expected), initial=0.0))
    return absolute, absolute / max(1.0, float(np.max(np.abs(expected), initial=0.0)))


def _as_tuple(outputs: Any) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)
