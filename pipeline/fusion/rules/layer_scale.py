"""ConvNeXt's layer scale folded into the linear layer before it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnxscript.rewriter import pattern

from pipeline.checkpoint.dims import CheckpointDims
from pipeline.fusion.rule import Rule
from pipeline.fusion.weights import matrix


class LayerScaleFusion(pattern.RewriteRuleClassBase):
    """``γ · (x·W + b)`` to ``x·(W·γ) + b·γ``: one pass over the activations less."""

    def pattern(self, op, x, weight, bias, gamma):
        """Match the scaled linear layer."""
        return op.Mul(gamma, op.Add(op.MatMul(x, weight), bias))

    def check(self, context, weight, bias, gamma, **_):
        """Weight, bias and scale are constant, bias and scale one number a channel."""
        result = pattern.MatchResult()
        if matrix(weight) is None:
            return result.fail("weight is not a constant matrix", weight)
        for value in (bias, gamma):
            constant = ir.convenience.get_const_tensor(value)
            if constant is None or len(constant.shape) != 1:
                return result.fail("not a constant vector", value)
        return result

    def rewrite(self, op, x, weight, bias, gamma):
        """Scale the constants in float32, as the graph would at run time."""
        scale = _array(gamma)
        scaled_weight = ir.tensor(_array(weight) * scale, name=weight.name)
        scaled_bias = ir.tensor(_array(bias) * scale, name=bias.name)
        product = op.MatMul(x, op.initializer(scaled_weight, f"{weight.name}.scaled"))
        return op.Add(product, op.initializer(scaled_bias, f"{bias.name}.scaled"))


def _array(value: ir.Value) -> NDArray[np.float32]:
    constant = ir.convenience.get_const_tensor(value)
    assert constant is not None  # checked by LayerScaleFusion.check
    return constant.numpy().astype(np.float32, copy=False)


def _layers(graph: str, dims: CheckpointDims) -> int:
    blocks = {
        "decoder": dims.decoder,
        "dvae_decode": dims.dvae_decoder,
        "dvae_encode": dims.dvae_encoder,
        "vocos": dims.vocos,
    }
    return blocks[graph].num_layers


RULE = Rule(
    name="layer_scale",
    graphs=("decoder", "dvae_decode", "dvae_encode", "vocos"),
    make=lambda model, dims: LayerScaleFusion.rule(),
    expected=_layers,
)
