"""Every metric of the stages; those with a title are columns of all tables of variants."""

from __future__ import annotations

from pipeline.benchmark import plan
from pipeline.fidelity import audio, forcing, free
from pipeline.report.metrics import by_name
from pipeline.speech import figures

_FIDELITY = by_name((*forcing.METRICS, *audio.METRICS, *free.METRICS))
METRICS = {**plan.METRICS, **_FIDELITY, **figures.METRICS}
COLUMNS = tuple(metric for metric in METRICS.values() if metric.title)
HEADLINES = tuple(metric for metric in METRICS.values() if metric.headline)
"""What two runs of the pipeline are compared by."""
SPEECH_COLUMNS = tuple(metric for metric in figures.MEASURES if metric.title)
"""What a listener notices; the others are of speed and agreement."""
PLAIN_COLUMNS = tuple(metric for metric in COLUMNS if metric not in SPEECH_COLUMNS)
