"""From utterances to the rows of the speech report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.report.write import Row, make_row
from pipeline.speech.bootstrap import Bootstrap, Estimate, Ratio
from pipeline.speech.judges import Listener, OpinionScore, VoiceEncoder, as_heard
from pipeline.speech.scoring import Errors, score
from pipeline.speech.utterances import Utterance, spoken_text

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Judgement:
    """What the judges say of one utterance; scores are NaN where there is nothing to hear.

    Attributes:
        utterance: what they heard.
        heard: Whisper's words.
        errors: against the text as the runtime reads it.
        p808: predicted mean opinion score, P.808.
        overall: predicted overall score (P.835 OVRL).
        voice: speaker embedding [256], zeros where there is nothing to hear.
    """

    utterance: Utterance
    heard: str
    errors: Errors
    p808: float
    overall: float
    voice: Floats


@dataclass(frozen=True)
class Measure:
    """A metric as a ratio of sums: its unit, scale, and what each utterance adds above and below.

    ``relative`` metrics compare an utterance with the baseline's of the same line and have no
    further difference.
    """

    unit: str
    above: Callable[[Judgement, Judgement], float]
    below: Callable[[Judgement, Judgement], float]
    scale: float = 1.0
    relative: bool = False


MEASURES: dict[str, Measure] = {
    "word_error_rate": Measure(
        "%", lambda own, _: own.errors.word_errors, lambda own, _: own.errors.words, 100.0
    ),
    "character_error_rate": Measure(
        "%", lambda own, _: own.errors.character_errors, lambda own, _: own.errors.characters, 100.0
    ),
    "dnsmos_p808": Measure(
        "MOS", lambda own, _: _known(own.p808), lambda own, _: not math.isnan(own.p808)
    ),
    "dnsmos_ovrl": Measure(
        "MOS", lambda own, _: _known(own.overall), lambda own, _: not math.isnan(own.overall)
    ),
    "speaker_similarity": Measure(
        "cosine",
        lambda own, base: _both_heard(own, base) * float(own.voice @ base.voice),
        lambda own, base: _both_heard(own, base),
        relative=True,
    ),
    "duration_ratio": Measure(
        "×",
        lambda own, base: own.utterance.seconds,
        lambda own, base: base.utterance.seconds,
        relative=True,
    ),
    "failure_rate": Measure("%", lambda own, _: own.utterance.failed, lambda own, _: 1.0, 100.0),
}

CHANGE = "_change"
METRICS = (*MEASURES, *(f"{name}{CHANGE}" for name, m in MEASURES.items() if not m.relative))
"""Every metric of the speech report."""


class Judges:
    """All judges together."""

    def __init__(self, listener: Listener, opinion: OpinionScore, encoder: VoiceEncoder) -> None:
        self.listener = listener
        self.opinion = opinion
        self.encoder = encoder

    def __call__(self, utterance: Utterance) -> Judgement:
        """Judge one utterance; all words of an empty one count as errors."""
        line = utterance.line
        text = spoken_text(line.text)
        if utterance.empty:
            nothing = np.zeros(self.encoder.SIZE, np.float32)
            return Judgement(utterance, "", score(text, ""), math.nan, math.nan, nothing)
        audio = as_heard(utterance.audio, utterance.sample_rate)
        heard = self.listener.transcript(audio, line.language)
        p808, overall = self.opinion(audio)
        errors = score(text, heard)
        return Judgement(utterance, heard, errors, p808, overall, self.encoder(audio))


def speech_rows(
    judged: Mapping[str, Sequence[Judgement]], baseline: str, resamples: int, seed: int
) -> list[Row]:
    """Rows of :data:`METRICS` for each variant.

    Args:
        judged: judgements by variant, in the same order of lines.
        baseline: the variant that ``_change`` rows, similarities and durations refer to.
        resamples: draws of the bootstrap.
        seed: of these draws.

    Returns:
        Rows with ``low`` and ``high``, the bounds of the 95 % interval over sentences.
    """
    base = judged[baseline]
    numbers = [item.utterance.line.number for item in base]
    bootstrap = Bootstrap(max(numbers) + 1, resamples, seed)

    def ratio(measure: Measure, items: Sequence[Judgement]) -> Ratio:
        pairs = list(zip(items, base, strict=True))
        above = [float(measure.above(*pair)) for pair in pairs]
        return Ratio.per_sentence(numbers, above, [float(measure.below(*p)) for p in pairs])

    rows = []
    for variant, items in judged.items():
        for name, measure in MEASURES.items():
            own = ratio(measure, items)
            rows.append(_row(variant, name, measure, bootstrap.estimate(own, measure.scale)))
            if variant != baseline and not measure.relative:
                change = bootstrap.difference(own, ratio(measure, base), measure.scale)
                rows.append(_row(variant, f"{name}{CHANGE}", measure, change, baseline=baseline))
    return rows


def _row(variant: str, metric: str, measure: Measure, estimate: Estimate, **conditions: str) -> Row:
    unit = "points" if metric.endswith(CHANGE) and measure.unit == "%" else measure.unit
    bounds = {"low": estimate.low, "high": estimate.high}
    return make_row(variant, metric, estimate.value, unit, **conditions, **bounds)


def _both_heard(own: Judgement, base: Judgement) -> bool:
    return not (own.utterance.empty or base.utterance.empty)


def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else value
