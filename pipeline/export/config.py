"""Parameters of the ``export`` group."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExportConfig:
    """How the plain graphs are made and checked.

    ``opset`` is 23 or later: from there attention, rotation and RMS norm are operators of ONNX.
    ``parity_cases`` random shapes a graph are compared with the reference at every optimization
    level of ONNX Runtime; an error over ``tolerance``, relative to the largest value of the
    reference's output (or 1, if that is larger), stops the stage.
    """

    opset: int
    parity_cases: int
    tolerance: float
