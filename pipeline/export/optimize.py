"""The exporter's own simplifications, but for the one that makes weights share their name.

``torch.onnx.export(optimize=True)`` merges equal constants.  Weights that happen to be equal (the
biases of a new layer are all zero) would become one tensor under the name of one of them, and what
is told apart by name later on would be told apart no more.  Here constants that no checkpoint holds
are merged: integers (shapes, axes, indices) and scalars.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from onnx_ir.passes import common as passes
from onnxscript import optimizer, rewriter
from onnxscript.rewriter import onnx_fusions

ROUNDS = 2
"""Folding shows what can be rewritten, and the other way round."""


def optimize(model: ir.Model) -> None:
    """Fold constants and remove what is redundant, in place."""
    passes.InlinePass()(model)
    for _ in range(ROUNDS):
        optimizer.fold_constants(model, onnx_shape_inference=True)
        rewriter.rewrite(model)
    passes.RemoveUnusedNodesPass()(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    _merge_equal_constants(model.graph)
    passes.CommonSubexpressionEliminationPass()(model)
    passes.RemoveUnusedNodesPass()(model)
    passes.OutputFixPass()(model)
    passes.NameFixPass()(model)
    onnx_fusions.fuse(model)


def _merge_equal_constants(graph: ir.Graph) -> None:
    first: dict[tuple[Any, ...], ir.Value] = {}
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or (tensor.dtype.is_floating_point() and len(tensor.shape)):
            continue
        key = (tensor.dtype, tuple(tensor.shape.numpy()), tensor.tobytes())
        known = first.setdefault(key, value)
        if known is not value:
            value.replace_all_uses_with(known)
            del graph.initializers[name]
