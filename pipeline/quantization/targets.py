"""Where an INT8 bundle will run, and what that demands of its integers: facts as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import onnx_ir as ir

from pipeline.core.errors import ConfigError


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
        instructions: instruction sets (see :mod:`pipeline.report.machine`), one of which the
            processor must have for the integers to be right; empty where any processor will do.
        provider: ONNX Runtime's execution provider that runs the integers.
        use_instead: a bundle that serves this target; then no static graph is made for it.
        why: the reason, for reports.
    """

    activation: str
    weight_limit: int
    conv_output: bool
    integer_bias: bool
    fused: Mapping[str, tuple[str, ...]]
    instructions: tuple[str, ...]
    provider: str
    use_instead: str | None
    why: str

    @property
    def activation_dtype(self) -> ir.DataType:
        """Element type of quantized activations."""
        return ir.DataType.UINT8 if self.activation == "uint8" else ir.DataType.INT8


CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"

CPU_FUSED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "MatMul": ("MatMulIntegerToFloat", "QLinearMatMul"),
        "Gemm": ("QGemm",),
        "Conv": ("QLinearConv",),
        # what repairs.blocks makes of a MatMul
        "MatMulNBits": ("MatMulNBits",),
    }
)
NOTHING: Mapping[str, tuple[str, ...]] = MappingProxyType({})

TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "cpu-avx2": Target(
            activation="uint8",
            weight_limit=64,
            conv_output=True,
            integer_bias=True,
            fused=CPU_FUSED,
            instructions=(),
            provider=CPU,
            use_instead=None,
            why="vpmaddubsw adds two U8S8 products in 16 bits: 2 * 255 * 64 fits, "
            "2 * 255 * 127 saturates, so weights take 7 bits",
        ),
        "cpu-vnni": Target(
            activation="uint8",
            weight_limit=127,
            conv_output=True,
            integer_bias=True,
            fused=CPU_FUSED,
            # ARM's dot products sum in 32 bits as well
            instructions=("avx_vnni", "avx512_vnni", "asimddp"),
            provider=CPU,
            use_instead=None,
            why="vpdpbusd sums U8S8 products in 32 bits, so weights take 8 bits",
        ),
        "tensorrt": Target(
            activation="int8",
            weight_limit=127,
            conv_output=False,
            integer_bias=False,
            fused=NOTHING,
            instructions=(),
            provider=TENSORRT,
            use_instead=None,
            why="TensorRT takes symmetric S8S8 only: a QuantizeLinear/DequantizeLinear pair on "
            "what each layer reads, a DequantizeLinear on INT8 weights, float biases, no pair on "
            "what a layer writes",
        ),
        "cuda": Target(
            activation="int8",
            weight_limit=127,
            conv_output=False,
            integer_bias=False,
            fused=NOTHING,
            instructions=(),
            provider=CUDA,
            use_instead="w8",
            why="the CUDA provider runs QDQ MatMuls in float (slower than FP16); its 8-bit kernel "
            "is MatMulNBits, which the bundle w8 consists of",
        ),
    }
)


def check_machine(
    name: str, isa: Sequence[str], providers: Sequence[str], foreign: bool = False
) -> None:
    """Refuse a target that gives no static graph, or that this machine cannot run.

    Args:
        name: key of :data:`TARGETS`.
        isa: this machine's instruction sets.
        providers: ONNX Runtime's providers here.
        foreign: the bundle is for another machine, so that this one need not run it.

    Raises:
        ConfigError: says what the machine has, what the target needs, and what to do.
    """
    target = TARGETS[name]
    if target.use_instead is not None:
        raise ConfigError(
            f"precision.int8.target: found {name!r}, for which no static INT8 graph is made: "
            f"{target.why}. Use the bundle '{target.use_instead}'"
        )
    if foreign:
        return
    advice = "choose another target, or set precision.int8.foreign=true to build for another one"
    if target.provider not in providers:
        raise ConfigError(
            f"precision.int8.target: {name!r} needs {target.provider}, this ONNX Runtime has "
            f"{', '.join(providers)}; {advice}"
        )
    if target.instructions and not set(target.instructions) & set(isa):
        raise ConfigError(
            f"precision.int8.target: {name!r} needs {' or '.join(target.instructions)}, this "
            f"machine has {', '.join(isa) or 'none of the known sets'}: its sums would saturate; "
            f"{advice}"
        )
