"""Named errors of the build pipeline; see :mod:`chattts_onnx.errors` for the rules they keep."""

from __future__ import annotations

from chattts_onnx.errors import ChatTTSError


class PipelineError(ChatTTSError):
    """Base of all errors that stop a pipeline stage."""


class ConfigError(PipelineError):
    """A parameter is missing, unknown, or has the wrong type or value."""


class CheckpointError(PipelineError):
    """A checkpoint file is missing, damaged, or not in the official layout."""


class ExportError(PipelineError):
    """A graph could not be exported, or differs from the reference beyond its tolerance."""


class FusionError(PipelineError):
    """A rewrite rule fired another number of times than the layer count demands."""


class QuantizationError(PipelineError):
    """Calibration data or quantization settings cannot give a usable graph."""


class GateError(PipelineError):
    """A variant failed a gate of ``conf/validate``."""


class BenchmarkError(PipelineError):
    """An engine could not be measured."""


class TrackingError(PipelineError):
    """Results could not be written to MLflow."""
