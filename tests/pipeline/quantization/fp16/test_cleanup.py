"""Casts that the converter leaves: removed, or kept where they are needed."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from pipeline.quantization.fp16.cleanup import collapse_casts


def build(steps: list[tuple[str, ir.DataType]]) -> ir.Model:
    """A chain of casts from a float input, with a Neg before each."""
    x = ir.val("x", ir.DataType.FLOAT, [3])
    nodes, value = [], x
    for op, kind in steps:
        attributes = {"to": int(kind)} if op == "Cast" else {}
        node = ir.node(op, [value], attributes=attributes)
        value = node.outputs[0]
        value.dtype, value.shape = kind, ir.Shape([3])
        nodes.append(node)
    value.name = "y"
    graph = ir.Graph([x], [value], nodes=nodes, opset_imports={"": 23}, name="g")
    return ir.Model(graph, ir_version=11)


def run(model: ir.Model, x: list[float]) -> list[float]:
    content = ir.serde.serialize_model(model).SerializeToString()
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    result: list[float] = session.run(["y"], {"x": np.array(x, np.float32)})[0].tolist()
    return result


F32, F16 = ir.DataType.FLOAT, ir.DataType.FLOAT16


def test_round_trip_between_fp32_nodes_keeps_its_range() -> None:
    """1e6 is infinite in FP16; between two FP32 nodes it must never be FP16."""
    model = build([("Neg", F32), ("Cast", F16), ("Cast", F32), ("Neg", F32)])
    assert run(model, [1e6, 1.0, 0.0])[0] == np.inf
    collapse_casts(model)
    assert [node.op_type for node in model.graph] == ["Neg", "Neg"]
    assert run(model, [1e6, 1.0, 0.0]) == [1e6, 1.0, 0.0]


def test_round_trip_into_a_graph_output() -> None:
    """The output keeps its name."""
    model = build([("Neg", F32), ("Cast", F16), ("Cast", F32)])
    collapse_casts(model)
    assert [node.op_type for node in model.graph] == ["Neg"]
    assert [value.name for value in model.graph.outputs] == ["y"]
    assert run(model, [1e6, 1.0, 0.0]) == [-1e6, -1.0, 0.0]


def test_a_cast_that_narrows_for_good_stays() -> None:
    """A node that computes in FP16 still gets FP16."""
    model = build([("Cast", F16), ("Neg", F16), ("Cast", F32)])
    collapse_casts(model)
    assert [node.op_type for node in model.graph] == ["Cast", "Neg", "Cast"]


def test_integers_are_left_alone() -> None:
    """Casting to integers and back rounds on purpose."""
    model = build([("Cast", ir.DataType.INT64), ("Cast", F32)])
    collapse_casts(model)
    assert run(model, [1.7, 2.2, 0.0]) == [1.0, 2.0, 0.0]
