"""Parameters of the FP16, calibration and INT8 stages, from ``conf/{precision,calibration}``."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.core.errors import ConfigError, require_one_of
from pipeline.quantization.kv_cache import CacheConfig
from pipeline.quantization.targets import TARGETS

CALIBRATORS = ("minmax", "percentile", "mse")
OP_TYPES = ("MatMul", "Gemm", "Conv")


@dataclass(frozen=True)
class RecordingConfig:
    """Which prompts the FP32 bundle speaks to give real activations.

    Attributes:
        sentences: JSON lines file, relative to the workspace.
        samples: how many of its sentences are used, spread evenly over the file.
        min_new_tokens: steps before the end token is allowed.
        max_new_tokens: steps after which a generation is cut.
    """

    sentences: str
    samples: int
    min_new_tokens: int
    max_new_tokens: int

    def __post_init__(self) -> None:
        for name in ("samples", "max_new_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: found {getattr(self, name)}, expected at least 1")
        if not 0 <= self.min_new_tokens <= self.max_new_tokens:
            raise ConfigError(
                f"min_new_tokens: found {self.min_new_tokens}, "
                f"expected 0 to max_new_tokens ({self.max_new_tokens})"
            )


@dataclass(frozen=True)
class Fp16Config:
    """What the FP16 bundle keeps in FP32.

    Attributes:
        recording: the reference run that finds the ranges.
        max_range: a node that reads or writes an activation beyond this magnitude stays FP32
            (NVIDIA Model-Optimizer's autocast uses 512).
        max_reduction_depth: a MatMul, Gemm, Conv or Reduce that sums more terms stays FP32.
        keep_op_types: operators that always stay FP32.
        keep_names: shell patterns; a node stays FP32 if its name or that of one of its weights
            matches.
    """

    recording: RecordingConfig
    max_range: float
    max_reduction_depth: int
    keep_op_types: list[str]
    keep_names: list[str]

    def __post_init__(self) -> None:
        if not 0 < self.max_range <= 65504:
            raise ConfigError(
                f"max_range: found {self.max_range}, expected more than 0 and at most 65504, "
                "the largest FP16 number"
            )
        if self.max_reduction_depth < 1:
            raise ConfigError(
                f"max_reduction_depth: found {self.max_reduction_depth}, expected at least 1"
            )


@dataclass(frozen=True)
class CalibrationConfig:
    """How activation statistics are collected.

    Attributes:
        recording: the prompts whose activations are measured.
        histogram_bins: bins a tensor and phase, a power of two; memory is 8 bytes each.
    """

    recording: RecordingConfig
    histogram_bins: int

    def __post_init__(self) -> None:
        if self.histogram_bins < 512 or self.histogram_bins & (self.histogram_bins - 1):
            raise ConfigError(
                f"histogram_bins: found {self.histogram_bins}, expected a power of two from 512"
            )


@dataclass(frozen=True)
class RepairConfig:
    """Ways to get back what static INT8 loses; each works alone.  Patterns are those of
    :attr:`Int8Config.exclude_names`.

    Attributes:
        bias_correction: layers to whose outputs what rounding the weights takes away on average is
            added: for nothing where a bias is added already.
        wide_activations: MatMuls that read 16-bit activations: two integer products, of the upper
            and of the lower 8 bits.
        blocks: MatMuls with INT8 weights in blocks and activations rounded to INT8 at run time
            (MatMulNBits), no static range.
    """

    bias_correction: list[str] = field(default_factory=list)
    wide_activations: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Int8Config:
    """Static W8A8 quantization.

    Attributes:
        target: a key of :data:`pipeline.quantization.targets.TARGETS`.
        calibrator: ``minmax``, ``percentile`` or ``mse``.
        percentile: share of activations kept by the percentile calibrator, in percent.
        op_types: which of MatMul, Gemm and Conv are quantized.
        exclude_names: shell patterns; a node stays float if its name or its weight's name
            matches, alone or behind the graph's name (``gpt/layers.0.*``).
        embedding_tables: store embedding tables as INT8 rows with a scale each.
        require_fused: stop when ONNX Runtime executes a quantized node in float.
        foreign: build for a target that this machine cannot run.
        repairs: what is done against the loss.
        cache: keys and values.
    """

    target: str
    calibrator: str
    percentile: float
    op_types: list[str]
    exclude_names: list[str]
    embedding_tables: bool
    require_fused: bool
    foreign: bool = False
    repairs: RepairConfig = RepairConfig()
    cache: CacheConfig = field(default_factory=CacheConfig)

    def __post_init__(self) -> None:
        require_one_of("target", self.target, tuple(TARGETS))
        require_one_of("calibrator", self.calibrator, CALIBRATORS)
        for op_type in self.op_types:
            require_one_of("op_types", op_type, OP_TYPES)
        if not 50 < self.percentile <= 100:
            raise ConfigError(
                f"percentile: found {self.percentile}, expected more than 50 and at most 100"
            )
