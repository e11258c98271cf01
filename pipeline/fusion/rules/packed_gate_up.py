"""Gate and up projections with SiLU to one MatMul, a Split and ``QuickGelu``.

``QuickGelu`` (``com.microsoft``) with alpha 1 is x·sigmoid(x), that is SiLU, in one pass.
"""

from __future__ import annotations

from onnxscript.rewriter import pattern

from pipeline.fusion.rules._rule import DOMAIN, Rule
from pipeline.graphs.edit import common_prefix, join_columns, matrix


class PackedGateUpFusion(pattern.RewriteRuleClassBase):
    """``silu(x·Wg) · (x·Wu)`` with constant weights of one shape."""

    def pattern(self, op, x, w_gate, w_up):
        """Match the gated product as PyTorch exports it."""
        gate = op.MatMul(x, w_gate)
        return op.Mul(op.Mul(gate, op.Sigmoid(gate)), op.MatMul(x, w_up))

    def check(self, context, w_gate, w_up, **_):
        """Both weights are constant matrices of equal shape, so that the split is even."""
        result = pattern.MatchResult()
        gate, up = matrix(w_gate), matrix(w_up)
        if gate is None or up is None or gate.shape != up.shape:
            return result.fail("weights are not constant matrices of one shape", [w_gate, w_up])
        return result

    def rewrite(self, op, x, w_gate, w_up, **_):
        """Join the weights column-wise in the order gate, up."""
        name = f"{common_prefix(w_gate.name, w_up.name)}.gate_up_proj.weight"
        packed = op.MatMul(x, op.initializer(join_columns([w_gate, w_up], name), name))
        gate, up = op.Split(packed, axis=-1, num_outputs=2, _outputs=2)
        return op.Mul(op.QuickGelu(gate, alpha=1.0, _domain=DOMAIN), up)


RULE = Rule(
    name="packed_gate_up",
    graphs=("gpt",),
    make=lambda model, dims: PackedGateUpFusion.rule(),
    expected=lambda graph, dims: dims.num_hidden_layers,
    after=("packed_qkv",),
)
