"""Put the speeds of ``reports/benchmark.json`` beside the quality of ``reports/speech.json``.

Writes ``reports/tradeoff.{md,png}``; nothing is measured here.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.config import Params
from pipeline.core.atomic import write_text
from pipeline.report.rows import read_report
from pipeline.speech.tradeoff import collect, draw_tradeoff, render_tradeoff
from pipeline.stages._runner import stage_main

SPEECH = Path("reports/speech.json")
BENCHMARK = Path("reports/benchmark.json")
REPORT = Path("reports/tradeoff.md")
TITLE = "Speed against quality"


def run(params: Params, workspace: Path) -> None:
    """See the module's docstring.

    Raises:
        PipelineError: a report is missing or damaged.
    """
    baseline, random_weights = params.speech.baseline, not params.speech.speaks
    points = collect(
        read_report(workspace / SPEECH).rows, read_report(workspace / BENCHMARK).rows, baseline
    )
    title = f"{TITLE} (random weights: noise)" if random_weights else TITLE
    write_text(workspace / REPORT, render_tradeoff(points, baseline, random_weights))
    draw_tradeoff((workspace / REPORT).with_suffix(".png"), points, baseline, title)


if __name__ == "__main__":
    stage_main("tradeoff", run)
