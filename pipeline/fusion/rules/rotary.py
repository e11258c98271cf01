"""Seven nodes of a rotation to one ``RotaryEmbedding`` (ONNX opset 23)."""

from __future__ import annotations

import onnx_ir as ir
from onnxscript.rewriter import pattern

from pipeline.fusion.rules._rule import Rule


class RotaryFusion(pattern.RewriteRuleClassBase):
    """``[a·cos − b·sin, b·cos + a·sin]`` with ``a, b`` the halves of the last axis."""

    def pattern(self, op, x, cos, sin):
        """Match the rotation of ``x`` [B, heads, S, D] by ``cos``/``sin`` [B, 1, S, D / 2]."""
        first, second = op.Split(x, _outputs=2, _allow_other_attributes=True)
        rotated_first = op.Sub(op.Mul(first, cos), op.Mul(second, sin))
        rotated_second = op.Add(op.Mul(second, cos), op.Mul(first, sin))
        return op.Concat(rotated_first, rotated_second, axis=-1)

    def check(self, context, x, cos, sin, **_):
        """Both tables are per-position rows with a head axis of one put in."""
        result = pattern.MatchResult()
        for table in (cos, sin):
            node = table.producer()
            if node is None or node.op_type != "Unsqueeze":
                return result.fail("table is not an Unsqueeze of gathered rows", table)
        return result

    def rewrite(self, op, x: ir.Value, cos: ir.Value, sin: ir.Value, **_):
        """Rotate by the rows before the head axis was put in, [B, S, D / 2]."""
        return op.RotaryEmbedding(x, _rows(cos), _rows(sin))


def _rows(table: ir.Value) -> ir.Value:
    node = table.producer()
    assert node is not None  # checked by RotaryFusion.check
    rows = node.inputs[0]
    assert rows is not None
    return rows


RULE = Rule(
    name="rotary",
    graphs=("gpt",),
    make=lambda model, dims: RotaryFusion.rule(),
    # queries and keys
    expected=lambda graph, dims: 2 * dims.num_hidden_layers,
)
