"""Named errors of the build pipeline; see :mod:`chattts_onnx.errors` for the rules they keep."""

from __future__ import annotations

from collections.abc import Iterable

from chattts_onnx.errors import ChatTTSError
from chattts_onnx.untrusted import brief


class PipelineError(ChatTTSError):
    """Base of all errors that stop a pipeline stage."""


class ConfigError(PipelineError):
    """A parameter is missing, unknown, or has the wrong type or value."""


def require_one_of(name: str, found: object, known: Iterable[object]) -> None:
    """:class:`ConfigError` where the parameter ``name`` is none of those there are."""
    if found not in (choices := list(known)):
        expected = ", ".join(map(str, choices))
        raise ConfigError(f"{name}: found {brief(found)}, expected one of {expected}")


class StorageError(PipelineError):
    """An output cannot be written: the disk is full, read-only, or failing."""


class ConcurrencyError(PipelineError):
    """Another process is writing the same output."""


class CheckpointError(PipelineError):
    """A checkpoint file is missing, damaged, or not in the official layout."""


class ExportError(PipelineError):
    """A graph could not be exported, contradicts itself, or differs from the reference too much."""


class FusionError(PipelineError):
    """A rewrite rule fired another number of times than the layer count demands."""


class QuantizationError(PipelineError):
    """Calibration data or quantization settings cannot give a usable graph."""


class GateError(PipelineError):
    """A variant or a server broke a gate of ``conf/`` or of the last release."""


class SpeechError(PipelineError):
    """Speech cannot be judged: a model is missing, or it does not know the language."""


class BenchmarkError(PipelineError):
    """An engine could not be measured."""


class TrackingError(PipelineError):
    """Results could not be written to MLflow."""


class ReleaseError(PipelineError):
    """What is to be given to others can't be made, or is not usable as it was made."""


class LoadError(PipelineError):
    """A server could not be started or loaded."""
