"""Which types the kernels of ONNX Runtime's CUDA provider take, of the operators used here.

Read off docs/OperatorKernels.md of microsoft/onnxruntime (commit 001d12d); a GPU proves it, see
``pipeline.studies.gpu``.  Only rows that hold for opset 23 are here.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from chattts_onnx.decoding.device_step import extension
from chattts_onnx.format.manifest import Manifest

HALVES = "float16 bfloat16"
FLOATS = f"float double {HALVES}"
ANY = f"bool {FLOATS} int8 int16 int32 int64 uint8 uint16 uint32 uint64"
COMPARED = "float double float16 int32 int64 uint32 uint64"
ARITHMETIC = f"{FLOATS} int8 int16 int32 int64 uint8 uint16 uint32 uint64"

# Operator: types of its first input.
KERNELS = {
    **dict.fromkeys(("Add", "Div", "Mul", "Sub"), ARITHMETIC),
    **dict.fromkeys(("And", "Not", "Or"), "bool"),
    **dict.fromkeys(("Cast", "Concat", "Expand", "Gather", "GatherElements", "Reshape"), ANY),
    **dict.fromkeys(("ScatterElements", "Shape", "Slice", "Split", "Squeeze"), ANY),
    **dict.fromkeys(("Transpose", "Unsqueeze"), ANY),
    **dict.fromkeys(("Greater", "GreaterOrEqual", "Less", "LessOrEqual"), COMPARED),
    **dict.fromkeys(
        ("Conv", "Exp", "Gelu", "LayerNormalization", "MatMul", "RMSNormalization", "Sqrt", "Tanh"),
        FLOATS,
    ),
    **dict.fromkeys(("Cos", "Log", "Round", "Sin"), "float double float16"),
    **dict.fromkeys(("Max", "Min"), f"{FLOATS} int32 int64 uint32 uint64"),
    **dict.fromkeys(("ReduceL2", "ReduceMax"), "float double float16 int32"),
    "Clip": "float double float16 int8 int64 uint8 uint64",
    "CumSum": COMPARED,
    "DequantizeLinear": "int4 int8 uint4 uint8",
    "Equal": f"bool {COMPARED}",
    "Pad": "bool float double float16",
    "Pow": f"{FLOATS} int32 int64",
    "QuantizeLinear": "float float16",
    "ReduceSum": f"{FLOATS} int32 int64",
    "TopK": "float double float16 int32 int64",
    "Where": "bool",
    "com.microsoft::GroupQueryAttention": HALVES,
    "com.microsoft::MatMulNBits": f"float {HALVES}",
    "com.microsoft::QuickGelu": FLOATS,
    "com.microsoft::SkipSimplifiedLayerNormalization": f"float {HALVES}",
}

CHOSEN = "float double float16 bfloat16 int32 int64 uint8"
"""Types that Where chooses between."""


def without_kernel(bundle: Path) -> list[str]:
    """Nodes of a bundle's graphs, with sampling appended to the GPT, that would run on the CPU."""
    manifest = Manifest.load(bundle, verify=False)
    found = []
    for name, info in manifest.graphs.items():
        model = onnx.load(bundle / info.file, load_external_data=False)
        if name == "gpt":
            model.MergeFromString(extension(manifest.model))
        assert {opset.domain: opset.version for opset in model.opset_import}[""] == 23
        types = _types(model)
        found += [f"{name}/{node.name}" for node in model.graph.node if not _has(node, types)]
    return found


def _types(model: onnx.ModelProto) -> dict[str, str]:
    graph = onnx.shape_inference.infer_shapes(model).graph
    numbers = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        numbers[value.name] = value.type.tensor_type.elem_type
    for node in model.graph.node:
        # Inference stops behind contributed operators; what it leaves open has its input's type.
        for output in node.output:
            numbers.setdefault(output, numbers[node.input[0]])
    return {
        name: onnx.TensorProto.DataType.Name(number).lower() for name, number in numbers.items()
    }


def _has(node: onnx.NodeProto, types: dict[str, str]) -> bool:
    operator = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    allowed = KERNELS.get(operator, "").split()
    if node.op_type == "Where" and types[node.input[1]] not in CHOSEN.split():
        return False
    return types[node.input[0]] in allowed
