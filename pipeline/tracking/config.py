"""Parameters of the track stage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrackingConfig:
    """Where results are recorded.

    Attributes:
        uri: MLflow tracking URI; a relative sqlite path is relative to the workspace.
        artifacts: folder of the experiment's artifacts, relative to the workspace.
        experiment: name of the MLflow experiment.
    """

    uri: str
    artifacts: str
    experiment: str
