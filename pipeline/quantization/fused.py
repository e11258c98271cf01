"""What ONNX Runtime makes of a graph: operators after optimization, as proof of integer kernels."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import onnx
import onnxruntime as ort

from pipeline.core.errors import QuantizationError
from pipeline.quantization.targets import Target


def optimized_operators(path: Path) -> dict[str, int]:
    """Count of each operator that the CPU provider runs for the graph ``path``.

    Raises:
        QuantizationError: ONNX Runtime refuses the graph.
    """
    with tempfile.TemporaryDirectory() as scratch:
        optimized = Path(scratch) / "optimized.onnx"
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.optimized_model_filepath = str(optimized)
        # keeps the weights out of the file that is parsed below
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", "optimized.data"
        )
        try:
            ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise QuantizationError(f"{path}: ONNX Runtime cannot open it: {error}") from error
        model = onnx.load(optimized, load_external_data=False)
    return dict(sorted(Counter(node.op_type for node in model.graph.node).items()))


def check_fused(
    graph: str, quantized: Mapping[str, int], operators: Mapping[str, int], target: Target
) -> None:
    """Compare quantized nodes per operator with the integer operators that really run.

    Raises:
        QuantizationError: fewer integer operators run than nodes were quantized.
    """
    for op_type, count in quantized.items():
        integer = target.fused.get(op_type)
        if integer is None:
            continue
        found = sum(operators.get(name, 0) for name in integer)
        if found < count:
            raise QuantizationError(
                f"graph '{graph}': found {found} {' or '.join(integer)} after optimization, "
                f"expected {count}, one for each quantized {op_type}; exclude those nodes by "
                "precision.int8.exclude_names, or accept them with require_fused=false"
            )
