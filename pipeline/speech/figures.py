"""From utterances to the rows of the speech report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.report.metrics import Metric, by_name
from pipeline.report.rows import Row
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


@dataclass(frozen=True, kw_only=True)
class Measure(Metric):
    """A metric as a ratio of sums: its scale, and what each utterance adds above and below.

    ``relative`` metrics compare an utterance with the baseline's of the same line and have no
    further difference.
    """

    above: Callable[[Judgement, Judgement], float]
    below: Callable[[Judgement, Judgement], float]
    scale: float = 1.0
    relative: bool = False

    @property
    def change(self) -> Metric:
        """The difference from the baseline."""
        unit = "points" if self.unit == "%" else self.unit
        return Metric(name=f"{self.name}{CHANGE}", unit=unit, better=self.better)


CHANGE = "_change"
MEASURES = (
    Measure(
        name="word_error_rate", unit="%", better="lower", best=0.0, title="WER", shown="%",
        digits=".1f", scale=100.0,
        above=lambda own, _: own.errors.word_errors,
        below=lambda own, _: own.errors.words,
    ),
    Measure(
        name="character_error_rate", unit="%", better="lower", best=0.0, scale=100.0,
        above=lambda own, _: own.errors.character_errors,
        below=lambda own, _: own.errors.characters,
    ),
    Measure(
        name="dnsmos_p808", unit="MOS", better="higher", title="MOS", digits=".2f",
        above=lambda own, _: _known(own.p808),
        below=lambda own, _: not math.isnan(own.p808),
    ),
    Measure(
        name="dnsmos_ovrl", unit="MOS", better="higher",
        above=lambda own, _: _known(own.overall),
        below=lambda own, _: not math.isnan(own.overall),
    ),
    Measure(
        name="speaker_similarity", unit="cosine", better="higher", title="same speaker",
        digits=".3f", relative=True,
        above=lambda own, base: _both_heard(own, base) * float(own.voice @ base.voice),
        below=lambda own, base: _both_heard(own, base),
    ),
    Measure(
        name="duration_ratio", unit="×", relative=True,
        above=lambda own, base: own.utterance.seconds,
        below=lambda own, base: base.utterance.seconds,
    ),
    Measure(
        name="failure_rate", unit="%", better="lower", best=0.0, title="failed", shown="%",
        digits=".1f", scale=100.0,
        above=lambda own, _: own.utterance.failed,
        below=lambda own, _: 1.0,
    ),
)  # fmt: skip
CHANGES = tuple(measure.change for measure in MEASURES if not measure.relative)
METRICS = by_name((*MEASURES, *CHANGES))
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
        for measure in MEASURES:
            own = ratio(measure, items)
            rows.append(_row(variant, measure, bootstrap.estimate(own, measure.scale)))
            if variant != baseline and not measure.relative:
                change = bootstrap.difference(own, ratio(measure, base), measure.scale)
                rows.append(_row(variant, measure.change, change, baseline=baseline))
    return rows


def _row(variant: str, metric: Metric, estimate: Estimate, **conditions: str) -> Row:
    return metric.row(variant, estimate.value, **conditions, low=estimate.low, high=estimate.high)


def _both_heard(own: Judgement, base: Judgement) -> bool:
    return not (own.utterance.empty or base.utterance.empty)


def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else value
