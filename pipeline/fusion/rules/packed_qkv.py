"""Query, key and value projections to one MatMul that ``GroupQueryAttention`` reads packed.

One product with a [hidden, 3·hidden] matrix streams its weights better than three, and one
quantized activation serves it.
"""

from __future__ import annotations

from onnxscript.rewriter import pattern

from pipeline.fusion.rules._rule import DOMAIN, Rule
from pipeline.graphs.edit import common_prefix, join_columns, matrix


class PackedQkvFusion(pattern.RewriteRuleClassBase):
    """``GroupQueryAttention(x·Wq, x·Wk, x·Wv, …)`` to ``GroupQueryAttention(x·W, , , …)``."""

    def pattern(self, op, x, w_q, w_k, w_v, past_key, past_value, seqlens_k, total, cos, sin):
        """Match the fused attention fed by three MatMuls of one input."""
        return op.GroupQueryAttention(
            op.MatMul(x, w_q),
            op.MatMul(x, w_k),
            op.MatMul(x, w_v),
            past_key,
            past_value,
            seqlens_k,
            total,
            cos,
            sin,
            _domain=DOMAIN,
            _outputs=["output", "present_key", "present_value"],
            _allow_other_attributes=True,
        )

    def check(self, context, w_q, w_k, w_v, **_):
        """All three weights are constant matrices."""
        result = pattern.MatchResult()
        for weight in (w_q, w_k, w_v):
            if matrix(weight) is None:
                return result.fail("weight is not a constant matrix", weight)
        return result

    def rewrite(
        self,
        op,
        x,
        w_q,
        w_k,
        w_v,
        past_key,
        past_value,
        seqlens_k,
        total,
        cos,
        sin,
        output,
        **_,
    ):
        """Join the weights column-wise in the order query, key, value."""
        name = f"{common_prefix(w_q.name, w_k.name)}.qkv_proj.weight"
        packed = op.MatMul(x, op.initializer(join_columns([w_q, w_k, w_v], name), name))
        attributes = output.producer().attributes
        return op.GroupQueryAttention(
            packed,
            None,
            None,
            past_key,
            past_value,
            seqlens_k,
            total,
            cos,
            sin,
            **{key: attributes[key].value for key in attributes},
            _domain=DOMAIN,
            _outputs=3,
        )


RULE = Rule(
    name="packed_qkv",
    graphs=("gpt",),
    make=lambda model, dims: PackedQkvFusion.rule(),
    expected=lambda graph, dims: dims.num_hidden_layers,
    after=("group_query_attention",),
)
