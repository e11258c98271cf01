"""Parameters of the track stage."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.report.compare import Rule


@dataclass(frozen=True)
class RegistryConfig:
    """Which bundles become registered models, and when one replaces the champion.

    Attributes:
        enabled: whether bundles are logged and registered as models at all.
        prefix: models are named ``<prefix>-<checkpoint>-<variant>``.
        better: rules by which a candidate has to be better than the champion, at least.
        rules: see :mod:`pipeline.report.compare`; none of them may say worse.
    """

    enabled: bool = False
    prefix: str = "chattts-onnx"
    better: int = 1
    rules: list[Rule] = field(default_factory=list)


@dataclass(frozen=True)
class TrackingConfig:
    """Where results are recorded.

    Attributes:
        uri: MLflow tracking URI; a relative sqlite path is relative to the workspace.
        artifacts: folder of the experiment's artifacts, relative to the workspace; a tracking
            server has a place of its own.
        experiment: name of the MLflow experiment.
        datasets: sentence files (JSONL) by what they were used for.
        registry: the model registry.
    """

    uri: str
    artifacts: str
    experiment: str
    datasets: dict[str, str] = field(default_factory=dict)
    registry: RegistryConfig = field(default_factory=RegistryConfig)
