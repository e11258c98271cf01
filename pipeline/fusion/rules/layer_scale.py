"""ConvNeXt's layer scale folded into the linear layer before it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnxscript.rewriter import pattern

from pipeline.checkpoint.dims import CheckpointDims
from pipeline.fusion.rules._rule import Rule
from pipeline.graphs.edit import matrix


class LayerScaleFusion(pattern.RewriteRuleClassBase):
    """``γ · (x·W + b)`` to ``x·(W·γ) + b·γ``: one pass over the activations less."""

    def pattern(self, op, x, weight, bias, gamma):
        """Match the scaled linear layer."""
        product = op.MatMul(x, weight, _outputs=["product"])
        return op.Mul(gamma, op.Add(product, bias))

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

    def rewrite(self, op, x, weight, bias, gamma, product):
        """Scale the constants in float32, as the graph would at run time."""
        # after the layer: constants that are equal may be one, under the name of another layer
        module = product.producer().name.rpartition("/")[0]
        scaled = {
            part: op.initializer(
                ir.tensor(_array(value) * _array(gamma), name=f"{module}.{part}"),
                f"{module}.{part}.scaled",
            )
            for part, value in (("weight", weight), ("bias", bias))
        }
        return op.Add(op.MatMul(x, scaled["weight"]), scaled["bias"])


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
