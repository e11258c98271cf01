"""Residual Add and the RMS norm after it to ``SkipSimplifiedLayerNormalization``."""

from __future__ import annotations

from onnxscript.rewriter import pattern

from pipeline.fusion.rules._rule import DOMAIN, Rule


class SkipNormFusion(pattern.RewriteRuleClassBase):
    """``RMSNormalization(x + skip)`` where the sum is used again further on."""

    def pattern(self, op, x, skip, gamma):
        """Match the sum and its norm; both are results."""
        total = op.Add(x, skip)
        normalized = op.RMSNormalization(
            total, gamma, _allow_other_attributes=True, _outputs=["normalized"]
        )
        return normalized, total

    def check(self, context, normalized, **_):
        """The norm is over the last axis, as the fused operator's is."""
        result = pattern.MatchResult()
        if normalized.producer().attributes.get_int("axis", -1) != -1:
            return result.fail("norm is not over the last axis", normalized)
        return result

    def rewrite(self, op, x, skip, gamma, normalized, **_):
        """The fourth output is the sum; the two between are training's and stay unused."""
        epsilon = normalized.producer().attributes.get_float("epsilon", 1e-5)
        fused = op.SkipSimplifiedLayerNormalization(
            x, skip, gamma, epsilon=epsilon, _domain=DOMAIN, _outputs=4
        )
        return fused[0], fused[3]


RULE = Rule(
    name="skip_norm",
    graphs=("gpt",),
    make=lambda model, dims: SkipNormFusion.rule(),
    # the last residual's norm comes after the gather of the wanted rows
    expected=lambda graph, dims: 2 * dims.num_hidden_layers - 1,
    after=("packed_gate_up",),
)
