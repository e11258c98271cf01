"""Each rule on the smallest graph it matches, and on one it must leave alone."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxscript.rewriter import pattern

from pipeline.fusion.rules.layer_scale import LayerScaleFusion
from pipeline.fusion.rules.packed_gate_up import PackedGateUpFusion
from pipeline.fusion.rules.rotary import RotaryFusion
from pipeline.fusion.rules.skip_norm import SkipNormFusion

Array = NDArray[np.float32]
RNG = np.random.default_rng(0)


def _draw(*shape: int) -> Array:
    return RNG.standard_normal(shape, dtype=np.float32)


def _model(
    nodes: list, inputs: dict[str, Array], constants: dict[str, NDArray], outputs: list[str]
) -> ir.Model:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v.shape) for k, v in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
    return ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=10))


def _run(model: ir.Model, inputs: dict[str, Array]) -> list[Array]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    return list(session.run(None, inputs))


def _apply(rule: type, model: ir.Model) -> int:
    return pattern.RewriteRuleSet([rule.rule()]).apply_to_model(model)


def _check(
    rule: type, nodes: list, inputs: dict[str, Array], constants: dict[str, NDArray],
    outputs: list[str],
) -> ir.Model:  # fmt: skip
    """Apply ``rule``, which must fire once, and compare the results before and after."""
    model = _model(nodes, inputs, constants, outputs)
    expected = _run(model, inputs)
    assert _apply(rule, model) == 1
    for found, wanted in zip(_run(model, inputs), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-6)
    return model


def _ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def test_rotary() -> None:
    nodes = [
        helper.make_node("Unsqueeze", ["cos", "one"], ["c"]),
        helper.make_node("Unsqueeze", ["sin", "one"], ["s"]),
        helper.make_node("Split", ["x"], ["a", "b"], axis=3, num_outputs=2),
        helper.make_node("Mul", ["a", "c"], ["ac"]),
        helper.make_node("Mul", ["b", "s"], ["bs"]),
        helper.make_node("Sub", ["ac", "bs"], ["first"]),
        helper.make_node("Mul", ["b", "c"], ["bc"]),
        helper.make_node("Mul", ["a", "s"], ["as"]),
        helper.make_node("Add", ["bc", "as"], ["second"]),
        helper.make_node("Concat", ["first", "second"], ["y"], axis=-1),
    ]
    inputs = {"x": _draw(2, 3, 5, 16), "cos": _draw(2, 5, 8), "sin": _draw(2, 5, 8)}
    model = _check(RotaryFusion, nodes, inputs, {"one": np.array([1])}, ["y"])
    assert "RotaryEmbedding" in _ops(model)
    # halves the other way round are another rotation
    nodes[-1] = helper.make_node("Concat", ["second", "first"], ["y"], axis=-1)
    assert _apply(RotaryFusion, _model(nodes, inputs, {"one": np.array([1])}, ["y"])) == 0


def _gate_up(up_width: int) -> tuple[list, dict[str, Array], dict[str, NDArray]]:
    nodes = [
        helper.make_node("MatMul", ["x", "m.gate_proj.weight"], ["g"]),
        helper.make_node("Sigmoid", ["g"], ["s"]),
        helper.make_node("Mul", ["g", "s"], ["silu"]),
        helper.make_node("MatMul", ["x", "m.up_proj.weight"], ["u"]),
        helper.make_node("Mul", ["silu", "u"], ["y"]),
    ]
    constants = {"m.gate_proj.weight": _draw(8, 12), "m.up_proj.weight": _draw(8, up_width)}
    return nodes, {"x": _draw(2, 3, 8)}, constants


def test_packed_gate_up() -> None:
    model = _check(PackedGateUpFusion, *_gate_up(12), ["y"])
    assert _ops(model) == ["MatMul", "Split", "QuickGelu", "Mul"]
    assert "m.gate_up_proj.weight" in model.graph.initializers


def test_packed_gate_up_needs_equal_shapes() -> None:
    assert _apply(PackedGateUpFusion, _model(*_gate_up(1), ["y"])) == 0


@pytest.mark.parametrize("swapped", [False, True])
def test_skip_norm(swapped: bool) -> None:
    nodes = [
        helper.make_node("Add", ["skip", "x"] if swapped else ["x", "skip"], ["total"]),
        helper.make_node("RMSNormalization", ["total", "gamma"], ["y"], axis=-1, epsilon=1e-6),
        helper.make_node("Mul", ["total", "total"], ["z"]),
    ]
    inputs = {"x": _draw(2, 3, 8), "skip": _draw(2, 3, 8)}
    model = _check(SkipNormFusion, nodes, inputs, {"gamma": _draw(8)}, ["y", "z"])
    assert _ops(model) == ["SkipSimplifiedLayerNormalization", "Mul"]


def test_layer_scale() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "b"], ["q"]),
        helper.make_node("Mul", ["gamma", "q"], ["y"]),
    ]
    constants = {"w": _draw(8, 4), "b": _draw(4), "gamma": _draw(4)}
    model = _check(LayerScaleFusion, nodes, {"x": _draw(2, 3, 8)}, constants, ["y"])
    assert _ops(model) == ["MatMul", "Add"]
    # a scale that is computed can't be folded
    inputs = {"x": _draw(2, 3, 8), "gamma": _draw(4)}
    constants.pop("gamma")
    assert _apply(LayerScaleFusion, _model(nodes, inputs, constants, ["y"])) == 0


def test_layers_with_one_bias_between_them_get_names_of_their_own() -> None:
    """Equal constants may be one: results are named after the layer, not after what it reads."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"], name="a.pwconv2/MatMul"),
        helper.make_node("Add", ["p", "b"], ["q"]),
        helper.make_node("Mul", ["gamma", "q"], ["y"]),
        helper.make_node("MatMul", ["x", "w"], ["r"], name="b.pwconv2/MatMul"),
        helper.make_node("Add", ["r", "b"], ["s"]),
        helper.make_node("Mul", ["gamma", "s"], ["z"]),
    ]
    constants = {"w": _draw(8, 4), "b": _draw(4), "gamma": _draw(4)}
    model = _model(nodes, {"x": _draw(2, 3, 8)}, constants, ["y", "z"])
    assert _apply(LayerScaleFusion, model) == 2
    assert {f"{layer}.pwconv2.bias.scaled" for layer in "ab"} <= set(model.graph.initializers)
