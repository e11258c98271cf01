"""From utterances to the rows of the speech report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chattts_onnx.hearing.scoring import Errors, score
from pipeline.report.metrics import Metric, by_name
from pipeline.report.rows import Row, select
from pipeline.speech.bootstrap import Bootstrap, Estimate, Ratio
from pipeline.speech.judges import Listener, OpinionScore, VoiceEncoder, as_heard
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
    conditions: tuple[str, ...] = ("language", "set")

    def against(self, suffix: str) -> Metric:
        """The difference from the baseline or the teacher."""
        unit = "points" if self.unit == "%" else self.unit
        name = f"{self.name}{suffix}"
        return Metric(name=name, unit=unit, better=self.better, conditions=("language", "set"))


ERRORS = ("word_error_rate", "pinyin_error_rate")
"""Metrics that only some languages have."""

CHANGE = "_change"
MEASURES = (
    Measure(
        name="word_error_rate", unit="%", better="lower", best=0.0, title="WER", shown="%",
        digits=".1f", scale=100.0, headline="wer_en",
        above=lambda own, _: own.errors.word_errors,
        below=lambda own, _: own.errors.words,
    ),
    Measure(
        name="pinyin_error_rate", unit="%", better="lower", best=0.0, title="pinyin", shown="%",
        digits=".1f", scale=100.0, headline="ser_zh",
        above=lambda own, _: own.errors.syllable_errors,
        below=lambda own, _: own.errors.syllables,
    ),
    Measure(
        name="character_error_rate", unit="%", better="lower", best=0.0, scale=100.0,
        above=lambda own, _: own.errors.character_errors,
        below=lambda own, _: own.errors.characters,
    ),
    Measure(
        name="dnsmos_p808", unit="MOS", better="higher", title="MOS", digits=".2f",
        headline="mos",
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
OVER_TEACHER = "_over_teacher"
TEACHER = "teacher"
ALL = "all"
CHANGES, OVER_TEACHERS = (
    tuple(measure.against(suffix) for measure in MEASURES if not measure.relative)
    for suffix in (CHANGE, OVER_TEACHER)
)
RELATIVE = frozenset(measure.name for measure in MEASURES if measure.relative)
METRICS = by_name((*MEASURES, *CHANGES, *OVER_TEACHERS))
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
            errors = score(text, "", line.language)
            return Judgement(utterance, "", errors, math.nan, math.nan, nothing)
        audio = as_heard(utterance.audio, utterance.sample_rate)
        heard = self.listener.transcript(audio, line.language)
        p808, overall = self.opinion(audio)
        errors = score(text, heard, line.language)
        return Judgement(utterance, heard, errors, p808, overall, self.encoder(audio))


@dataclass(frozen=True)
class Slice:
    """The utterances of one language and set, or of :data:`ALL`."""

    language: str = ALL
    set: str = ALL

    def holds(self, item: Judgement) -> bool:
        """Whether an utterance belongs to it."""
        line = item.utterance.line
        return self.language in (ALL, line.language) and self.set in (ALL, line.set)


def slices(items: Sequence[Judgement]) -> list[Slice]:
    """All utterances; each language, where there are several; each set of it, likewise."""
    lines = [item.utterance.line for item in items]
    found = [Slice()]
    languages = list(dict.fromkeys(line.language for line in lines))
    for language in languages:
        sets = list(dict.fromkeys(line.set for line in lines if line.language == language))
        found += [Slice(language)] if len(languages) > 1 else []
        found += [Slice(language, name) for name in sets] if len(sets) > 1 else []
    return found


def speech_rows(
    judged: Mapping[str, Sequence[Judgement]],
    baseline: str,
    resamples: int,
    seed: int,
    teacher: Sequence[Judgement] = (),
) -> list[Row]:
    """Rows of :data:`METRICS` for each variant, language and set.

    Args:
        judged: judgements by variant, in the same order of lines.
        baseline: the variant that ``_change`` rows, similarities and durations refer to.
        resamples: draws of the bootstrap.
        seed: of these draws.
        teacher: judgements of whom the model learned from, over some of the same lines.

    Returns:
        Rows with ``language``, ``set``, and ``low`` and ``high``, the bounds of the 95 % interval
        over sentences.  A language that has no words, or no syllables, has no row of their errors.
    """
    numbers = [item.utterance.line.number for item in judged[baseline]]
    bootstrap = Bootstrap(max(numbers) + 1, resamples, seed)
    known = {item.utterance.line.text: item for item in teacher}
    rows: list[Row] = []
    for part in slices(judged[baseline]):
        chosen = {name: list(filter(part.holds, items)) for name, items in judged.items()}
        for variant, items in chosen.items():
            pairs = list(zip(items, chosen[baseline], strict=True))
            rows += _rows(variant, pairs, bootstrap, part)
            if variant != baseline:
                rows += _differences(variant, pairs, CHANGE, bootstrap, part, baseline)
            taught = [(item, known.get(item.utterance.line.text)) for item in items]
            both = [(own, his) for own, his in taught if his is not None]
            rows += _differences(variant, both, OVER_TEACHER, bootstrap, part, TEACHER)
        alone = [(item, item) for item in filter(part.holds, teacher)]
        rows += [row for row in _rows(TEACHER, alone, bootstrap, part) if not _is_relative(row)]
    return rows


def _is_relative(row: Row) -> bool:
    return row["metric"] in RELATIVE


def _ratio(
    measure: Measure, pairs: Sequence[tuple[Judgement, Judgement]], bootstrap: Bootstrap
) -> Ratio:
    return Ratio.per_sentence(
        [own.utterance.line.number for own, _ in pairs],
        [float(measure.above(*pair)) for pair in pairs],
        [float(measure.below(*pair)) for pair in pairs],
        bootstrap.sentences,
    )


def _rows(
    variant: str,
    pairs: Sequence[tuple[Judgement, Judgement]],
    bootstrap: Bootstrap,
    part: Slice,
) -> Iterator[Row]:
    """Rows of the first of each pair; the second is the baseline's."""
    for measure in MEASURES:
        ratio = _ratio(measure, pairs, bootstrap)
        if pairs and (ratio.denominator.any() or measure.name not in ERRORS):
            estimate = bootstrap.estimate(ratio, measure.scale)
            yield _row(variant, measure, estimate, part)


def _differences(
    variant: str,
    pairs: Sequence[tuple[Judgement, Judgement]],
    suffix: str,
    bootstrap: Bootstrap,
    part: Slice,
    baseline: str,
) -> Iterator[Row]:
    """Rows of the difference between the first and the second of each pair."""
    for measure in MEASURES:
        own = _ratio(measure, [(one, one) for one, _ in pairs], bootstrap)
        if not measure.relative and (
            own.denominator.any() or (pairs and measure.name not in ERRORS)
        ):
            other = _ratio(measure, [(two, two) for _, two in pairs], bootstrap)
            estimate = bootstrap.difference(own, other, measure.scale)
            yield _row(variant, measure.against(suffix), estimate, part, baseline=baseline)


def _row(variant: str, metric: Metric, estimate: Estimate, part: Slice, **conditions: str) -> Row:
    bounds = {"low": estimate.low, "high": estimate.high}
    where = {"language": part.language, "set": part.set}
    return metric.row(variant, estimate.value, **where, **conditions, **bounds)


def overall(rows: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The rows over all languages and sets."""
    return select(rows, language=ALL, set=ALL)


def _both_heard(own: Judgement, base: Judgement) -> bool:
    return not (own.utterance.empty or base.utterance.empty)


def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else value
