"""Apply the rewrite rules to a graph, and hold every count against the layers there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir
from onnx_ir.passes import common as passes

from pipeline.checkpoint.dims import CheckpointDims
from pipeline.core.errors import FusionError
from pipeline.fusion import balance
from pipeline.fusion.naming import name_fused_nodes
from pipeline.fusion.rules import all_rules
from pipeline.fusion.rules._rule import DOMAIN
from pipeline.graphs.edit import Change, Context, Rewriter


@dataclass(frozen=True)
class RuleCount:
    """How often a rule fired on a graph, and the channels that it names (see :class:`Change`)."""

    graph: str
    rule: str
    found: int
    channels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def fuse_graph(
    model: ir.Model, name: str, dims: CheckpointDims, disabled: Sequence[str]
) -> list[RuleCount]:
    """Rewrite graph ``name`` in place.

    Raises:
        FusionError: a rule fired another number of times than the layers demand.
    """
    context = Context(name, dims)
    counts = [
        _held(rule.name, rule, model, context, rule.expected(name, dims), "the rule's pattern")
        for rule in all_rules()
        if name in rule.graphs and rule.name not in disabled
    ]
    for tidy in (_drop_unused, name_fused_nodes):
        tidy(model, context)
    if balance.NAME not in disabled:
        # what the rules make of projections and attention is what is recognised
        expected = None if disabled else balance.expected(name, dims)
        place = "pipeline/fusion/balance.py"
        counts.append(_held(balance.NAME, balance.balance, model, context, expected, place))
    model.opset_imports.setdefault(DOMAIN, 1)
    return counts


def _held(
    name: str,
    rewriter: Rewriter,
    model: ir.Model,
    context: Context,
    expected: int | None,
    place: str,
) -> RuleCount:
    change = rewriter(model, context)
    found = change.count
    if expected not in (None, found):
        raise FusionError(
            f"graph '{context.graph}': rule '{name}' fired {found} times, expected {expected}; "
            f"the exporter's output has changed, adapt {place}"
        )
    return RuleCount(context.graph, name, found, change.channels)


def _drop_unused(model: ir.Model, context: Context) -> Change:
    """Remove what nothing reads any more, inputs of the GPT too."""
    passes.RemoveUnusedNodesPass()(model)
    if context.graph != "gpt":
        return Change(0)
    unused = [value for value in model.graph.inputs if not value.uses()]
    for value in unused:
        model.graph.inputs.remove(value)
    # the cache has a capacity now
    for value in (*model.graph.inputs, *model.graph.outputs):
        if (value.name or "").startswith(("past_key_values.", "present.")) and value.shape:
            batch, heads, _, head_dim = value.shape
            value.shape = ir.Shape([batch, heads, "max_length", head_dim])
    return Change(len(unused))
