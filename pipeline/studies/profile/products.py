"""The products of a step without its memory traffic: how fast the kernels multiply from cache."""

from __future__ import annotations

import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

PRODUCTS = ("MatMul", "MatMulIntegerToFloat", "MatMulNBits", "DynamicQuantizeMatMul")
SIZE = 1536
"""Side of the matrix that stays in the cache: about as large as a layer's (2.3 MiB as INT8), so
that starting a kernel weighs what it weighs in a step."""
CHAIN = 16
"""Products in one run, so that starting the run does not count."""


def multiplications(path: Path) -> dict[str, int]:
    """Multiplications a row of the GPT graph at ``path``, by kind of product.

    A kind is ``float``, ``int8`` or, for 4 bits in blocks of 32, ``w4b32``.  The graph is
    the one on disk, so a quantized MatMul is one whose weight is dequantized.
    """
    graph = onnx.load(path, load_external_data=False).graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    dequantized = {
        node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"
    }
    counts: Counter[str] = Counter()
    for node in graph.node:
        if node.op_type == "MatMulNBits":
            values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
            kind = f"w{values['bits']}b{values['block_size']}"
            counts[kind] += values["K"] * values["N"]
        elif node.op_type == "MatMul":
            weight = dequantized.get(node.input[1], node.input[1])
            if weight in shapes:
                kind = "int8" if node.input[1] in dequantized else "float"
                counts[kind] += int(np.prod(shapes[weight]))
    return dict(counts)


@cache
def cached_rate(kind: str, rows: int, threads: int) -> float:
    """Multiplications a second of a product of ``rows`` rows whose weight stays in the cache."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    model = _chain(kind).SerializeToString()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feeds = {"x": np.ones((rows, SIZE), np.float32)}
    seconds = []
    for _ in range(8):
        started = time.perf_counter()
        session.run(None, feeds)
        seconds.append(time.perf_counter() - started)
    return rows * SIZE * SIZE * CHAIN / min(seconds)


def _chain(kind: str) -> onnx.ModelProto:
    """Products one after the other, all by the same weight."""
    random = np.random.default_rng(0)
    constants: dict[str, Any] = {}
    nodes = []
    if kind == "int8":
        constants["w"] = random.integers(-64, 64, (SIZE, SIZE), np.int8)
        constants["ws"] = np.full(SIZE, 1e-3, np.float32)
        constants["wz"] = np.zeros(SIZE, np.int8)
        constants["xs"] = np.array(0.05, np.float32)
        constants["xz"] = np.array(128, np.uint8)
    elif kind == "float":
        constants["w"] = random.standard_normal((SIZE, SIZE), np.float32) / SIZE
    else:
        bits, block = map(int, kind[1:].split("b"))
        width = block * bits // 8
        constants["w"] = random.integers(0, 255, (SIZE, SIZE // block, width), np.uint8)
        constants["ws"] = np.full((SIZE, SIZE // block), 1e-3, np.float32)
    for index in range(CHAIN):
        value, result = ("x" if index == 0 else f"y{index}"), f"y{index + 1}"
        nodes += _product(kind, value, result)
    inits = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    shape: list[str | int | None] = ["rows", SIZE]
    graph = helper.make_graph(
        nodes, "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(f"y{CHAIN}", TensorProto.FLOAT, shape)],
        inits,
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _product(kind: str, value: str, result: str) -> list[onnx.NodeProto]:
    if kind == "float":
        return [helper.make_node("MatMul", [value, "w"], [result])]
    if kind == "int8":
        quantized = f"{result}/quantized"
        inputs = [quantized, "w", "xs", "ws", "xz", "wz"]
        return [
            helper.make_node("QuantizeLinear", [value, "xs", "xz"], [quantized]),
            helper.make_node("MatMulIntegerToFloat", inputs, [result], domain="com.microsoft"),
        ]
    bits, block = map(int, kind[1:].split("b"))
    attributes: dict[str, Any] = {
        "K": SIZE,
        "N": SIZE,
        "bits": bits,
        "block_size": block,
        "accuracy_level": 4,
    }
    inputs = [value, "w", "ws"]
    return [helper.make_node("MatMulNBits", inputs, [result], domain="com.microsoft", **attributes)]
