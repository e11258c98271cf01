"""Apply the rewrite rules to a graph, and hold every count against the layers there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes import common as passes
from onnxscript.rewriter import pattern

from pipeline.checkpoint.dims import CheckpointDims
from pipeline.errors import FusionError
from pipeline.fusion.group_query_attention import DOMAIN, GroupQueryAttentionFusion
from pipeline.fusion.layer_scale import LayerScaleFusion
from pipeline.fusion.naming import name_fused_nodes
from pipeline.fusion.packed_gate_up import PackedGateUpFusion
from pipeline.fusion.packed_qkv import PackedQkvFusion
from pipeline.fusion.rotary import RotaryFusion
from pipeline.fusion.skip_norm import SkipNormFusion

# GroupQueryAttention's rotation works on blocks of this many channels
ROTARY_BLOCK = 16


@dataclass(frozen=True)
class Step:
    """A rule and how often it must fire."""

    name: str
    rule: pattern.RewriteRule
    expected: int


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
    steps = _steps(model, name, dims)
    counts = []
    for step in steps:
        if step.name in disabled:
            continue
        rules = pattern.RewriteRuleSet([step.rule])
        counts.append(RuleCount(name, step.name, step.expected, rules.apply_to_model(model)))
        if counts[-1].found != step.expected:
            raise FusionError(
                f"graph '{name}': rule '{step.name}' fired {counts[-1].found} times, expected "
                f"{step.expected}; the exporter's output has changed, adapt the rule's pattern"
            )
    passes.RemoveUnusedNodesPass()(model)
    if name == "gpt":
        _drop_replaced_inputs(model)
    name_fused_nodes(model)
    model.opset_imports.setdefault(DOMAIN, 1)
    return counts


def rule_names(dims: CheckpointDims) -> list[str]:
    """All rules, in the order in which they run."""
    empty = ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": 23}), ir_version=10)
    return [step.name for graph in ("gpt", "decoder") for step in _steps(empty, graph, dims)]


def _steps(model: ir.Model, name: str, dims: CheckpointDims) -> list[Step]:
    layers = dims.num_hidden_layers
    scaled = {
        "decoder": dims.decoder.num_layers,
        "dvae_decode": dims.dvae_decoder.num_layers,
        "dvae_encode": dims.dvae_encoder.num_layers,
        "vocos": dims.vocos.num_layers,
    }
    if name in scaled:
        return [Step("layer_scale", LayerScaleFusion.rule(), scaled[name])]
    if name != "gpt":
        return []
    if dims.head_dim % ROTARY_BLOCK:
        raise FusionError(
            f"found attention heads of {dims.head_dim} channels, expected a multiple of "
            f"{ROTARY_BLOCK}; GroupQueryAttention can't rotate others"
        )
    lengths = _length_inputs(model)
    attention = GroupQueryAttentionFusion.rule(
        *lengths, dims.num_attention_heads, dims.num_key_value_heads
    )
    return [
        Step("rotary", RotaryFusion.rule(), 2 * layers),
        Step("group_query_attention", attention, layers),
        Step("packed_qkv", PackedQkvFusion.rule(), layers),
        Step("packed_gate_up", PackedGateUpFusion.rule(), layers),
        # the last residual's norm comes after the gather of the wanted rows
        Step("skip_norm", SkipNormFusion.rule(), 2 * layers - 1),
    ]


def _length_inputs(model: ir.Model) -> tuple[ir.Value, ir.Value]:
    """Add the inputs that take the place of the mask and the positions."""
    int32 = ir.TensorType(ir.DataType.INT32)
    seqlens_k = ir.Value(name="seqlens_k", shape=ir.Shape(["batch"]), type=int32)
    total = ir.Value(name="total_sequence_length", shape=ir.Shape([]), type=int32)
    position = next(
        (i for i, v in enumerate(model.graph.inputs) if v.name == "attention_mask"),
        len(model.graph.inputs),
    )
    model.graph.inputs[position:position] = [seqlens_k, total]
    return seqlens_k, total


def _drop_replaced_inputs(model: ir.Model) -> None:
    """Remove inputs that nothing reads any more, and give the cache its capacity's name."""
    for value in [v for v in model.graph.inputs if not v.uses()]:
        model.graph.inputs.remove(value)
    for value in (*model.graph.inputs, *model.graph.outputs):
        if (value.name or "").startswith(("past_key_values.", "present.")) and value.shape:
            batch, heads, _, head_dim = value.shape
            value.shape = ir.Shape([batch, heads, "max_length", head_dim])
