"""The byte layout of MatMulNBits, against a float MatMul of the dequantized weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from pipeline.graphs.files import load_graph
from pipeline.graphs.layers import find_layers
from pipeline.quantization.weight_only import rtn
from pipeline.quantization.weight_only.blocks import BlockFormat, BlockWeight, to_blocks
from pipeline.quantization.weight_only.matmul_nbits import replace_matmul
from pipeline.report.machine import machine_context

REPOSITORY = Path(__file__).resolve().parents[4]

FORMATS = [
    BlockFormat(bits, size, symmetric)
    for bits in (4, 8)
    for size in (16, 32, 128)
    for symmetric in (True, False)
]


def random_weight(layout: BlockFormat, outputs: int, inputs: int) -> BlockWeight:
    random = np.random.default_rng(inputs)
    count = layout.blocks(inputs)
    zeros = random.integers(0, layout.largest + 1, (outputs, count))
    if layout.symmetric:
        zeros[:] = layout.middle
    signs = random.choice([-1, 1], (outputs, count))
    return BlockWeight(
        layout,
        random.integers(0, layout.largest + 1, (outputs, inputs)).astype(np.uint8),
        (signs * random.uniform(0.01, 0.1, (outputs, count))).astype(np.float32),
        zeros.astype(np.uint8),
    )


def matmul_model(inputs: int, outputs: int, output_name: str = "y") -> ir.Model:
    """x [m, K] times a float weight, as a graph."""
    weight = ir.tensor(np.zeros((inputs, outputs), np.float32), name="w")
    value = ir.Value(name="w", const_value=weight, type=ir.TensorType(ir.DataType.FLOAT))
    value.shape = ir.Shape([inputs, outputs])
    x = ir.Input("x", ir.Shape(["m", inputs]), ir.TensorType(ir.DataType.FLOAT))
    node = ir.node("MatMul", [x, value], name="product")
    y = node.outputs[0]
    y.name, y.shape, y.type = output_name, ir.Shape(["m", outputs]), x.type
    graph = ir.Graph([x], [y], nodes=[node], initializers=[value], opset_imports={"": 23}, name="g")
    return ir.Model(graph, ir_version=11)


def run(model: ir.Model, x: Any) -> Any:
    content = ir.serde.serialize_model(model).SerializeToString()
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0]


@pytest.mark.parametrize("layout", FORMATS, ids=str)
@pytest.mark.parametrize("inputs", [96, 100])
def test_onnx_runtime_reads_the_layout(layout: BlockFormat, inputs: int) -> None:
    """Widths that fill their blocks and widths that do not; an odd count of zero points too."""
    weight = random_weight(layout, 10, inputs)
    x = np.random.default_rng(1).standard_normal((3, inputs)).astype(np.float32)
    expected = x @ weight.dequantized().T
    for level, tolerance in ((0, 1e-5), (4, 0.02)):
        model = matmul_model(inputs, 10)
        (layer,), _ = find_layers(model.graph, ("MatMul",), ())
        replace_matmul(model, layer, weight, level)
        found = run(model, x)
        assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()


@pytest.mark.parametrize(("smallest", "kind"), [(1e-3, np.float16), (1e-6, np.float32)])
def test_scales_beyond_16_bits_stay_in_float(smallest: float, kind: type) -> None:
    rows = np.random.default_rng(3).uniform(0.5, 1, (4, 64)).astype(np.float32)
    rows[0] *= np.float32(smallest)
    weight = rtn.quantize(rows, BlockFormat(4, 32, False), 0)
    model = matmul_model(64, 4)
    (layer,), _ = find_layers(model.graph, ("MatMul",), ())
    replace_matmul(model, layer, weight, 0)
    stored = model.graph.initializers["w/scales"].const_value
    assert stored is not None and stored.numpy().dtype == kind
    x = np.eye(64, dtype=np.float32)
    np.testing.assert_allclose(run(model, x).T, weight.dequantized(), rtol=1e-5)


def configured_formats() -> list[BlockFormat]:
    """Those of the bundles w8 and w4, as committed."""
    found = []
    for variant in ("w8", "w4"):
        config = OmegaConf.load(REPOSITORY / "conf" / "precision" / variant / "default.yaml")
        for entry in (config, *config["overrides"]):
            found.append(BlockFormat(entry["bits"], entry["block_size"], entry["symmetric"]))
    return list(dict.fromkeys(found))


@pytest.mark.skipif(
    "avx512_vnni" not in machine_context()["isa"], reason="measured on kernels for AVX-512 VNNI"
)
@pytest.mark.parametrize("layout", configured_formats(), ids=str)
def test_a_row_alone_is_bit_for_bit_the_row_of_a_batch(layout: BlockFormat) -> None:
    """Else a request's codes would depend on what else runs."""
    model = matmul_model(768, 48)
    (layer,), _ = find_layers(model.graph, ("MatMul",), ())
    replace_matmul(model, layer, random_weight(layout, 48, 768), 4)
    x = np.random.default_rng(2).standard_normal((9, 768)).astype(np.float32)
    together = run(model, x)
    for count in (1, 2, 3, 8):
        np.testing.assert_array_equal(run(model, x[:count]), together[:count])


def test_the_replacement_keeps_the_interface() -> None:
    model = matmul_model(32, 8)
    (layer,), _ = find_layers(model.graph, ("MatMul",), ())
    layout = BlockFormat(4, 32, True)
    node = replace_matmul(model, layer, random_weight(layout, 8, 32), 4)
    assert (node.name, node.op_type, node.domain) == ("product", "MatMulNBits", "com.microsoft")
    assert [value.name for value in model.graph.outputs] == ["y"]
    assert sorted(model.graph.initializers) == ["w/blocks", "w/scales"]
    assert model.opset_imports["com.microsoft"] == 1


def test_a_weight_read_twice_is_stored_once(tmp_path: Any) -> None:
    model = matmul_model(32, 8)
    graph = model.graph
    second = ir.node("MatMul", [graph.inputs[0], graph.initializers["w"]], name="second")
    second.outputs[0].name, second.outputs[0].type = "z", graph.inputs[0].type
    graph.append(second)
    graph.outputs.append(second.outputs[0])
    weight = random_weight(BlockFormat(8, 32, True), 8, 32)
    layers, _ = find_layers(graph, ("MatMul",), ())
    for layer in layers:
        replace_matmul(model, layer, weight, 0)
    assert sorted(graph.initializers) == ["w/blocks", "w/scales"]
    ir.save(model, tmp_path / "g.onnx")
    assert len(load_graph(tmp_path / "g.onnx").graph) == 2


@given(st.integers(1, 3), st.integers(1, 70), st.sampled_from([16, 32]))
@settings(max_examples=30, deadline=None)
def test_blocks_hold_all_weights_and_zeros(outputs: int, inputs: int, size: int) -> None:
    weight = np.arange(1, outputs * inputs + 1, dtype=np.float32).reshape(outputs, inputs)
    blocks = to_blocks(weight, size)
    assert blocks.shape == (outputs * -(-inputs // size), size)
    rows = blocks.reshape(outputs, -1)
    assert (rows[:, :inputs] == weight).all()
    assert not rows[:, inputs:].any()
