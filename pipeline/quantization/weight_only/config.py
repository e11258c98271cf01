"""Parameters of the weight-only stages, from ``conf/precision/{w8,w4}``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from pipeline.core.errors import ConfigError, require_one_of
from pipeline.quantization.config import RecordingConfig
from pipeline.quantization.kv_cache import CacheConfig
from pipeline.quantization.weight_only.blocks import BlockFormat

ALGORITHMS = ("rtn", "gptq")
BITS = (4, 8)
BLOCK_SIZES = (16, 32, 64, 128, 256)
ACCURACY_LEVELS = (0, 1, 4)


@dataclass(frozen=True)
class LayerFormat:
    """Another format for some layers.

    Attributes:
        match: shell patterns over ``<graph>/<weight name>``, such as ``decoder/*``.
        bits: 4 or 8.
        block_size: weights that share a scale.
        symmetric: without stored zero points.
        algorithm: ``rtn`` or ``gptq``.
    """

    match: list[str]
    bits: int
    block_size: int
    symmetric: bool
    algorithm: str

    def __post_init__(self) -> None:
        _check_format(self.bits, self.block_size, self.algorithm)

    @property
    def layout(self) -> BlockFormat:
        """How the weights are stored."""
        return BlockFormat(self.bits, self.block_size, self.symmetric)


@dataclass(frozen=True)
class WeightOnlyConfig:
    """Weights as blocks of 8- or 4-bit integers, activations float.

    Attributes:
        bits: 4 or 8.
        block_size: weights that share a scale.
        symmetric: without stored zero points.
        algorithm: ``rtn`` (round to nearest) or ``gptq`` (compensates rounding errors over recorded
            activations).
        scale_search: scales tried for each block, the one of least squared error wins; 0 takes
            the block's full range.
        damping: GPTQ's share of the mean of the Hessian's diagonal.
        accuracy_level: MatMulNBits's; 4 rounds activations to INT8 on the CPU.
        overrides: other formats for some layers; the first that matches counts.
        exclude_names: shell patterns; a node whose name or weight's name matches stays float.
        embedding_tables: store embedding tables as INT8 rows with a scale each.
        recording: the prompts that GPTQ learns from.
        cache: keys and values.
    """

    bits: int
    block_size: int
    symmetric: bool
    algorithm: str
    scale_search: int
    damping: float
    accuracy_level: int
    overrides: list[LayerFormat]
    exclude_names: list[str]
    embedding_tables: bool
    recording: RecordingConfig
    cache: CacheConfig = field(default_factory=CacheConfig)

    def __post_init__(self) -> None:
        _check_format(self.bits, self.block_size, self.algorithm)
        require_one_of("accuracy_level", self.accuracy_level, ACCURACY_LEVELS)
        if not 0 <= self.scale_search <= 100:
            raise ConfigError(f"scale_search: found {self.scale_search}, expected 0 to 100")
        if not 0 < self.damping <= 1:
            raise ConfigError(f"damping: found {self.damping}, expected more than 0 and at most 1")

    def format_of(self, graph: str, weight: str) -> LayerFormat:
        """The format of one layer."""
        path = f"{graph}/{weight}"
        for entry in self.overrides:
            if any(fnmatchcase(path, pattern) for pattern in entry.match):
                return entry
        return LayerFormat(["*"], self.bits, self.block_size, self.symmetric, self.algorithm)

    def but(self, **changes: object) -> WeightOnlyConfig:
        """A copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


def _check_format(bits: int, block_size: int, algorithm: str) -> None:
    require_one_of("bits", bits, BITS)
    require_one_of("block_size", block_size, BLOCK_SIZES)
    require_one_of("algorithm", algorithm, ALGORITHMS)
