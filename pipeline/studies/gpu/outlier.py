"""FP16 norms on activations whose squares leave FP16 (ONNX Runtime issue 29034)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from pipeline.report.rows import Row, make_row
from pipeline.studies.gpu.device import open_model
from pipeline.studies.gpu.setup import Setup

HIDDEN, ROWS, EPSILON = 768, 8, 1e-6
PLANTED = (100.0, 1000.0, 7000.0, 8000.0, 30000.0)
OPERATORS = ("SkipSimplifiedLayerNormalization", "RMSNormalization")
STRICT = "enable_skip_layer_norm_strict_mode"


def outlier(setup: Setup) -> Iterator[Row]:
    """Relative error of each FP16 norm against float64, one channel planted per row.

    √(65504 · 768) ≈ 7093: beyond it the sum of squares leaves FP16.
    """
    random = np.random.default_rng(setup.seed)
    weight = random.uniform(0.5, 1.5, HIDDEN).astype(np.float16)
    modes = ("1", "0") if setup.device == "cuda" else ("1",)
    for operator in OPERATORS:
        model = _model(operator, weight)
        for strict in modes:
            options = {STRICT: strict} if setup.device == "cuda" else {}
            session = open_model(setup.device, operator, model, **options)
            for planted in PLANTED:
                x = random.standard_normal((1, ROWS, HIDDEN)).astype(np.float16)
                x[..., 5] = planted
                skip = random.standard_normal(x.shape).astype(np.float16)
                feeds = {"x": x} | ({"skip": skip} if operator.startswith("Skip") else {})
                found = session.run(["y"], feeds)[0].astype(np.float64)
                exact = _exact(x, skip if "skip" in feeds else None, weight)
                error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
                yield make_row(
                    "fp16_norm", "relative_error", float(error), "ratio",
                    operator=operator, planted=planted, strict=strict == "1",
                )  # fmt: skip


def _exact(x: np.ndarray, skip: np.ndarray | None, weight: np.ndarray) -> np.ndarray:
    total = x.astype(np.float64)
    if skip is not None:
        total = total + skip.astype(np.float64)
    scale = np.sqrt((total**2).mean(axis=-1, keepdims=True) + EPSILON)
    exact: np.ndarray = total / scale * weight.astype(np.float64)
    return exact


def _model(operator: str, weight: np.ndarray) -> bytes:
    fused = operator.startswith("Skip")
    names = ["x", "skip"] if fused else ["x"]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT16, [1, ROWS, HIDDEN])
        for name in names
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT16, [1, ROWS, HIDDEN])
    node = helper.make_node(
        operator, [*names, "w"], ["y"], domain="com.microsoft" if fused else "", epsilon=EPSILON
    )
    graph = helper.make_graph(
        [node], "norm", inputs, [output], [numpy_helper.from_array(weight, "w")]
    )
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(model.SerializeToString())
