"""Rotary, cache concatenation and masked attention to one ``GroupQueryAttention``.

The fused operator (ONNX Runtime's ``com.microsoft`` domain) rotates inside, writes keys and values
into a cache that input and output share, and takes each row's length instead of a mask, so a step
costs the same whatever the cache's capacity, and rows of any length go into one batch.
"""

from __future__ import annotations

import onnx_ir as ir
from onnxscript.rewriter import pattern

from pipeline.checkpoint.dims import CheckpointDims
from pipeline.core.errors import FusionError
from pipeline.fusion.rules._rule import DOMAIN, Rule

# the fused rotation works on blocks of this many channels
ROTARY_BLOCK = 16


class GroupQueryAttentionFusion(pattern.RewriteRuleClassBase):
    """The attention block of one layer, from the projections to the merged heads.

    Args:
        seqlens_k: graph input int32 [batch]: valid cache entries after the call, minus one.
        total_sequence_length: graph input int32 []: the largest of them plus one.
        num_heads: query heads.
        kv_num_heads: key/value heads.
    """

    def __init__(
        self,
        seqlens_k: ir.Value,
        total_sequence_length: ir.Value,
        num_heads: int,
        kv_num_heads: int,
    ) -> None:
        super().__init__(name="GroupQueryAttention")
        self._lengths = (seqlens_k, total_sequence_length)
        self._heads = {"num_heads": num_heads, "kv_num_heads": kv_num_heads}

    def pattern(self, op, query, key, value, past_key, past_value, mask, cos, sin):
        """Match attention over [B, heads, S, D] with a concatenated cache.

        ``cos`` and ``sin`` are the gathered rows: all layers share them, so the gathers can't be
        part of the pattern.
        """

        def heads(x):
            shaped = op.Reshape(x, pattern.ANY_VALUE, _allow_other_attributes=True)
            return op.Transpose(shaped, perm=[0, 2, 1, 3])

        rotated_query = op.RotaryEmbedding(heads(query), cos, sin)
        rotated_key = op.RotaryEmbedding(heads(key), cos, sin)
        present_key = op.Concat(past_key, rotated_key, axis=2)
        present_value = op.Concat(past_value, heads(value), axis=2)
        attended = op.Attention(
            rotated_query, present_key, present_value, mask, _allow_other_attributes=True
        )
        merged = op.Transpose(attended, perm=[0, 2, 1, 3])
        output = op.Reshape(merged, pattern.ANY_VALUE, _allow_other_attributes=True)
        return output, present_key, present_value

    def check(self, context, cos, sin, **_):
        """The rows are gathered from constant tables."""
        result = pattern.MatchResult()
        for rows in (cos, sin):
            if _table(rows) is None:
                return result.fail("rotary rows are not gathered from a constant table", rows)
        return result

    def rewrite(self, op, query, key, value, past_key, past_value, cos, sin, **_):
        """Positions follow from the lengths, and the mask is causal by definition."""
        return op.GroupQueryAttention(
            query,
            key,
            value,
            past_key,
            past_value,
            *self._lengths,
            _table(cos),
            _table(sin),
            do_rotary=1,
            rotary_interleaved=0,
            **self._heads,
            _domain=DOMAIN,
            _outputs=3,
        )


def _table(rows: ir.Value) -> ir.Value | None:
    node = rows.producer()
    if node is None or node.op_type != "Gather":
        return None
    table = node.inputs[0]
    if table is None or ir.convenience.get_const_tensor(table) is None:
        return None
    return table


def _make(model: ir.Model, dims: CheckpointDims) -> pattern.RewriteRule:
    if dims.head_dim % ROTARY_BLOCK:
        raise FusionError(
            f"found attention heads of {dims.head_dim} channels, expected a multiple of "
            f"{ROTARY_BLOCK}; GroupQueryAttention can't rotate others"
        )
    heads = dims.num_attention_heads, dims.num_key_value_heads
    return GroupQueryAttentionFusion.rule(*_length_inputs(model), *heads)


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


RULE = Rule(
    name="group_query_attention",
    graphs=("gpt",),
    make=_make,
    expected=lambda graph, dims: dims.num_hidden_layers,
    after=("rotary",),
)
