"""Put the speeds of ``reports/benchmark.json`` beside the quality of ``reports/speech.json``.

Writes ``reports/tradeoff.{md,png}``; nothing is measured here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.config import Params
from pipeline.core.atomic import write_text
from pipeline.core.errors import PipelineError
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
    points = collect(_rows(workspace / SPEECH), _rows(workspace / BENCHMARK), baseline)
    title = f"{TITLE} (random weights: noise)" if random_weights else TITLE
    write_text(workspace / REPORT, render_tradeoff(points, baseline, random_weights))
    draw_tradeoff((workspace / REPORT).with_suffix(".png"), points, baseline, title)


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["rows"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PipelineError(
            f"{path}: found no report ({error}), expected {{context, rows}}; run `dvc repro`"
        ) from error


if __name__ == "__main__":
    stage_main("tradeoff", run)
