"""Where an INT8 bundle will run, and what that demands of its integers: facts as a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import onnx_ir as ir


@dataclass(frozen=True)
class Target:
    """Integer formats for one kind of processor.

    Attributes:
        activation: ``uint8`` (asymmetric, with a zero point) or ``int8`` (symmetric).
        weight_limit: largest magnitude of an INT8 weight.
        conv_output: quantize what a Conv writes: ONNX Runtime's CPU provider has an integer Conv
            in that form only.
        integer_bias: store biases of Conv and Gemm as INT32, as the CPU provider's kernels do.
        fused: per quantized operator the ONNX Runtime operators that prove integer execution;
            empty where the CPU provider is not what runs the graph.
        why: the reason, for reports.
    """

    activation: str
    weight_limit: int
    conv_output: bool
    integer_bias: bool
    fused: Mapping[str, tuple[str, ...]]
    why: str

    @property
    def activation_dtype(self) -> ir.DataType:
        """Element type of quantized activations."""
        return ir.DataType.UINT8 if self.activation == "uint8" else ir.DataType.INT8


CPU_FUSED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "MatMul": ("MatMulIntegerToFloat", "QLinearMatMul"),
        "Gemm": ("QGemm",),
        "Conv": ("QLinearConv",),
    }
)

TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "cpu-avx2": Target(
            activation="uint8",
            weight_limit=64,
            conv_output=True,
            integer_bias=True,
            fused=CPU_FUSED,
            why="vpmaddubsw adds two U8S8 products in 16 bits: 2 * 255 * 64 fits, "
            "2 * 255 * 127 saturates, so weights take 7 bits",
        ),
        "cpu-vnni": Target(
            activation="uint8",
            weight_limit=127,
            conv_output=True,
            integer_bias=True,
            fused=CPU_FUSED,
            why="vpdpbusd sums U8S8 products in 32 bits, so weights take 8 bits",
        ),
        "tensorrt": Target(
            activation="int8",
            weight_limit=127,
            conv_output=False,
            integer_bias=False,
            fused=MappingProxyType({}),
            why="TensorRT takes symmetric S8S8 only and keeps biases in float",
        ),
    }
)
