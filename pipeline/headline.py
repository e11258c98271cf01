"""Every metric of the stages; those with a title are columns of all tables of variants."""

from __future__ import annotations

from pipeline.benchmark import plan
from pipeline.fidelity import audio, forcing, free
from pipeline.report.metrics import by_name
from pipeline.report.rows import Rows, find_value
from pipeline.speech import figures

_FIDELITY = by_name((*forcing.METRICS, *audio.METRICS, *free.METRICS))
METRICS = {**plan.METRICS, **_FIDELITY, **figures.METRICS}
COLUMNS = tuple(metric for metric in METRICS.values() if metric.title)
HEADLINES = tuple(metric for metric in METRICS.values() if metric.headline)
"""What two runs of the pipeline are compared by."""
SPEECH_COLUMNS = tuple(metric for metric in figures.MEASURES if metric.title)
"""What a listener notices; the others are of speed and agreement."""
PLAIN_COLUMNS = tuple(metric for metric in COLUMNS if metric not in SPEECH_COLUMNS)


def headlines(rows: Rows, variant: str) -> dict[str, float]:
    """The headline figures of a variant by their names, in the units that people are shown."""
    found = [(m, find_value(rows, variant, m.name, **m.where)) for m in HEADLINES]
    return {metric.headline: value * metric.factor for metric, value in found if value is not None}
