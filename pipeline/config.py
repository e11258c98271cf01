"""``params.yaml`` as typed, frozen dataclasses.

Every group's dataclass lives with the library that it configures; this module puts them together.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.benchmark.config import BenchmarkConfig
from pipeline.checkpoint.config import CheckpointConfig
from pipeline.core.strict import parse_strictly, read_yaml
from pipeline.export.config import ExportConfig
from pipeline.fidelity.config import ValidateConfig
from pipeline.fusion.config import FuseConfig
from pipeline.quantization.config import CalibrationConfig, Fp16Config, Int8Config
from pipeline.quantization.weight_only.config import WeightOnlyConfig
from pipeline.release.config import ReleaseConfig
from pipeline.search.config import SearchConfig
from pipeline.speech.config import SpeechConfig
from pipeline.tracking.config import TrackingConfig


@dataclass(frozen=True)
class PrecisionConfig:
    """Settings of the reduced precisions."""

    fp16: Fp16Config
    int8: Int8Config
    w8: WeightOnlyConfig
    w4: WeightOnlyConfig


@dataclass(frozen=True)
class Params:
    """All of ``params.yaml``.

    Attributes:
        variants: bundles that are judged, timed and packed, where no group names others.
        tools: exact version of each distribution that must run.
    """

    variants: list[str]
    seed: int
    tools: dict[str, str]
    checkpoint: CheckpointConfig
    export: ExportConfig
    fuse: FuseConfig
    precision: PrecisionConfig
    calibration: CalibrationConfig
    validate: ValidateConfig
    speech: SpeechConfig
    benchmark: BenchmarkConfig
    search: SearchConfig
    release: ReleaseConfig
    tracking: TrackingConfig


def load_params(path: Path) -> Params:
    """Read ``params.yaml``.

    Raises:
        ConfigError: the file is absent or not YAML, a key is unknown or missing, or a value has
            another type than its dataclass says; the message names the key's path.
    """
    return parse_strictly(read_yaml(path), Params)
