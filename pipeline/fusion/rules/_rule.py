"""What a rewrite rule says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir
from onnxscript.rewriter import pattern

from pipeline.checkpoint.dims import CheckpointDims
from pipeline.graphs.edit import Change, Context

DOMAIN = "com.microsoft"
"""Of ONNX Runtime's own operators."""


@dataclass(frozen=True)
class Rule:
    """A rewrite rule; called, it is a rewriter.

    Attributes:
        name: as in ``fuse.disabled`` and in the report.
        graphs: the graphs it runs on.
        make: the rule for a graph; it may add inputs to the model first.
        expected: how often it has to fire on a graph of these sizes.
        after: rules whose results it matches or whose order it keeps.
    """

    name: str
    graphs: tuple[str, ...]
    make: Callable[[ir.Model, CheckpointDims], pattern.RewriteRule]
    expected: Callable[[str, CheckpointDims], int]
    after: tuple[str, ...] = ()

    def __call__(self, model: ir.Model, context: Context) -> Change:
        """Rewrite every match."""
        made = pattern.RewriteRuleSet([self.make(model, context.dims)])
        return Change(made.apply_to_model(model))
