"""What ``reports/speech.md`` says beside the tables, and its picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.report.figure import new_figure, save_figure, style, three
from pipeline.report.gates import GateResult, gates_section, verdict_line
from pipeline.report.metrics import Metric
from pipeline.report.rows import find, select, variants_of
from pipeline.report.write import heading, markdown_table, with_interval, words
from pipeline.speech.drawing import draw_point
from pipeline.speech.figures import ALL, CHANGES, MEASURES, OVER_TEACHERS, overall

CONTROL_SUFFIX = "_other_seeds"

NOTES = """\
- Every variant says the same sentences with the same voices and seeds, by free generation at the
  bundle's default sampling; the text is read as the runtime reads it.
- Brackets hold 95 % intervals by a bootstrap over sentences; changes are paired. One code that
  differs changes all that follow, so two variants differ by chance as two seeds do:
  `fp32_other_seeds`, where it is listed, is the baseline once more with other seeds.
- `word_error_rate`, `pinyin_error_rate` and `character_error_rate` are Whisper's, with every number
  as single digits. Mandarin counts syllables without tones instead of words: most wrong characters
  are homophones. `teacher`, where it is listed, is whom the checkpoint learned from, over the same
  sentences, and `_over_teacher` the difference to it. `dnsmos_p808` and `dnsmos_ovrl` are
  predicted mean opinion scores (1 to 5) of utterances that are not empty. `speaker_similarity` is
  the cosine of speaker embeddings with the baseline's utterance of the same sentence.
  `duration_ratio` is total duration over the baseline's. `failure_rate` counts utterances that ran
  to the length limit, are empty or are no sound.
- A gate is broken where the whole interval lies beyond its limit, and undecided where the limit
  lies within: more sentences decide (`speech.count`)."""

RANDOM = (
    "**Random weights**: the checkpoint cannot speak. A few sentences show that the stage works; "
    "its figures say nothing of quality, and no gate is applied."
)


def sections(
    context: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    verdicts: Sequence[GateResult],
) -> list[str]:
    """Markdown blocks of ``reports/speech.md``."""
    blocks = [] if context["speaks"] else [RANDOM]
    if context["languages_left_out"]:
        found = ", ".join(context["languages_left_out"])
        blocks.append(
            f"**Not judged**: sentences of the languages {found}, which the listener is not asked "
            "about (`speech.languages`)."
        )
    return [
        verdict_line(verdicts),
        *blocks,
        f"## Figures [95 %]\n\n{figures_table(overall(rows), MEASURES)}",
        f"## Changes [95 %]\n\n{figures_table(overall(rows), CHANGES)}",
        *_parts(rows),
        gates_section(verdicts),
        f"## How it is measured\n\n{NOTES}",
    ]


def _parts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A section for each language and set that has rows of its own."""
    metrics = [*MEASURES, *CHANGES, *OVER_TEACHERS]
    blocks = []
    for language, name in dict.fromkeys((row["language"], row["set"]) for row in rows):
        if (language, name) != (ALL, ALL):
            chosen = select(rows, language=language, set=name)
            title = language if name == ALL else f"{language}, {name}"
            blocks.append(f"## {title} [95 %]\n\n{figures_table(chosen, metrics)}")
    return blocks


def figures_table(rows: Sequence[Mapping[str, Any]], metrics: Sequence[Metric]) -> str:
    """One line a variant, one column a metric that was measured, with intervals."""
    metrics = [metric for metric in metrics if select(rows, metric.name)]
    header = ["variant", *(heading(metric.name, metric.unit) for metric in metrics)]
    lines = []
    for variant in variants_of([row for metric in metrics for row in select(rows, metric.name)]):
        found = [find(rows, variant, metric.name) for metric in metrics]
        cells = ("–" if row is None else with_interval(row, 3) for row in found)
        lines.append([words(variant), *cells])
    return markdown_table(header, lines)


def draw_speech(path: Path, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw a point with its interval for each variant and metric into the PNG ``path``."""
    measured = [m for m in MEASURES if select(overall(rows), m.name)]
    figure = new_figure(13.5, 6.4, title)
    for index, measure in enumerate(measured, start=1):
        chosen = select(overall(rows), measure.name)
        axes = figure.add_subplot(2, math.ceil(max(2, len(measured)) / 2), index)
        for place, row in enumerate(chosen):
            draw_point(axes, place, row, str(row["variant"]), place)
        names = [str(row["variant"]).replace("_", "\n") for row in chosen]
        axes.set_xticks(range(len(chosen)), names, fontsize=7)
        for place, row in enumerate(chosen):
            if row["value"] is not None:
                axes.annotate(
                    three(float(row["value"])), (place, float(row["value"])), (6, 0),
                    textcoords="offset points", fontsize=7, va="center",
                )  # fmt: skip
        style(axes, measure.name.replace("_", " "), measure.unit, measure.better)
        axes.margins(x=0.15, y=0.2)
        if measure.best == 0.0:
            # a share of errors has no values below
            axes.set_ylim(0.0, max(axes.get_ylim()[1], 1.0))
    save_figure(figure, path)
