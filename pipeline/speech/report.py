"""What ``reports/speech.md`` says beside the tables, and its picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.report.write import markdown_table
from pipeline.speech.drawing import colour, error_bar, number, save_figure, with_interval
from pipeline.speech.figures import ALL, CHANGE, MEASURES, OVER_TEACHER, overall
from pipeline.speech.gates import SpeechVerdict, verdicts_section

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
    verdicts: Sequence[SpeechVerdict],
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
        *blocks,
        f"## Figures [95 %]\n\n{figures_table(overall(rows), list(MEASURES))}",
        f"## Changes [95 %]\n\n{figures_table(overall(rows), _with(CHANGE))}",
        *_parts(rows),
        verdicts_section(verdicts),
        f"## How it is measured\n\n{NOTES}",
    ]


def _with(suffix: str) -> list[str]:
    return [f"{name}{suffix}" for name in MEASURES]


def _parts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A section for each language and set that has rows of its own."""
    metrics = [*MEASURES, *_with(CHANGE), *_with(OVER_TEACHER)]
    blocks = []
    for part in dict.fromkeys((row["language"], row["set"]) for row in rows):
        if part != (ALL, ALL):
            chosen = [row for row in rows if (row["language"], row["set"]) == part]
            name = part[0] if part[1] == ALL else f"{part[0]}, {part[1]}"
            blocks.append(f"## {name} [95 %]\n\n{figures_table(chosen, metrics)}")
    return blocks


def figures_table(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> str:
    """One line a variant, one column a metric that was measured."""
    cells = {(row["variant"], row["metric"]): row for row in rows}
    units = {row["metric"]: row["unit"] for row in rows if row["metric"] in metrics}
    chosen = [name for name in metrics if name in units]
    variants = dict.fromkeys(row["variant"] for row in rows if row["metric"] in units)
    header = ["variant", *(f"{name} ({units[name]})" for name in chosen)]
    lines = [
        [
            str(variant),
            *(
                with_interval(cells[variant, name]) if (variant, name) in cells else "–"
                for name in chosen
            ),
        ]
        for variant in variants
    ]
    return markdown_table(header, lines)


def draw_speech(path: Path, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw a point with its interval for each variant and metric into the PNG ``path``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 6.4), layout="constrained")
    figure.suptitle(title)
    for index, (name, measure) in enumerate(MEASURES.items(), start=1):
        chosen = [row for row in overall(rows) if row["metric"] == name]
        axes = figure.add_subplot(2, math.ceil(len(MEASURES) / 2), index)
        for place, row in enumerate(chosen):
            axes.errorbar(
                [place], [number(row["value"])], yerr=error_bar(row), fmt="o", capsize=4,
                color=colour(str(row["variant"]), place),
            )  # fmt: skip
        names = [str(row["variant"]).replace("_", "\n") for row in chosen]
        axes.set_xticks(range(len(chosen)), names, fontsize=7)
        axes.set_title(name.replace("_", " "), fontsize=10)
        axes.set_ylabel(measure.unit)
        axes.margins(x=0.15, y=0.2)
    save_figure(figure, path)
