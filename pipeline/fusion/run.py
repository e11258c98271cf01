"""Apply the rewrite rules to a graph, and hold every count against the layers there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes import common as passes
from onnxscript.rewriter import pattern

from pipeline.checkpoint.dims import CheckpointDims
from pipeline.core.errors import FusionError
from pipeline.fusion.naming import name_fused_nodes
from pipeline.fusion.rule import DOMAIN, all_rules


@dataclass(frozen=True)
class RuleCount:
    """How often a rule fired on a graph."""

    graph: str
    rule: str
    expected: int
    found: int


def fuse_graph(
    model: ir.Model, name: str, dims: CheckpointDims, disabled: Sequence[str]
) -> list[RuleCount]:
    """Rewrite graph ``name`` in place.

    Raises:
        FusionError: a rule fired another number of times than the layers demand.
    """
    counts = []
    for rule in all_rules():
        if name not in rule.graphs or rule.name in disabled:
            continue
        expected = rule.expected(name, dims)
        made = pattern.RewriteRuleSet([rule.make(model, dims)])
        counts.append(RuleCount(name, rule.name, expected, made.apply_to_model(model)))
        if counts[-1].found != expected:
            raise FusionError(
                f"graph '{name}': rule '{rule.name}' fired {counts[-1].found} times, expected "
                f"{expected}; the exporter's output has changed, adapt the rule's pattern"
            )
    passes.RemoveUnusedNodesPass()(model)
    if name == "gpt":
        _drop_replaced_inputs(model)
    name_fused_nodes(model)
    model.opset_imports.setdefault(DOMAIN, 1)
    return counts


def _drop_replaced_inputs(model: ir.Model) -> None:
    """Remove inputs that nothing reads any more, and give the cache its capacity's name."""
    for value in [v for v in model.graph.inputs if not v.uses()]:
        model.graph.inputs.remove(value)
    for value in (*model.graph.inputs, *model.graph.outputs):
        if (value.name or "").startswith(("past_key_values.", "present.")) and value.shape:
            batch, heads, _, head_dim = value.shape
            value.shape = ir.Shape([batch, heads, "max_length", head_dim])
