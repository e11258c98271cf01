"""Pack the bundles with all that others need to trust and use them.

Reads ``bundles/`` and ``reports/``; writes ``dist/`` (see :mod:`pipeline.release.build`) and
``reports/metrics.json`` and ``reports/variants.csv``.  What may not be published without being told
to is packed all the same, marked, and refused by ``python -m pipeline.release.publish``.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from pipeline.config import Params
from pipeline.core.atomic import output_directory, write_json, write_text
from pipeline.headline import HEADLINES, METRICS, headlines
from pipeline.release.build import build_release
from pipeline.report.compare import figures
from pipeline.report.measured import read_measured
from pipeline.report.metrics import Metric
from pipeline.report.rows import Rows, variants_of
from pipeline.stages._runner import stage_main

DIST = Path("dist")
FLAT = Path("reports/metrics.json")
TABLE = Path("reports/variants.csv")


def run(params: Params, workspace: Path) -> None:
    """See the module's docstring.

    Raises:
        BundleError: a bundle is missing or damaged.
        ReleaseError: a report is missing, or is of another checkpoint.
    """
    rows = read_measured(workspace).rows
    with output_directory(workspace / DIST) as folder:
        build_release(workspace, params.release, params.tools, folder)
    write_text(workspace / TABLE, variants_csv(rows))
    rules = params.release.rules
    named = {rule.key: METRICS.get(rule.metric) for rule in rules}
    flat = {
        variant: dict(_shown(key, value, named[key]) for key, value in found.items())
        for variant in variants_of(rows)
        if (found := figures(rows, variant, rules))
    }
    write_json(workspace / FLAT, flat)


def variants_csv(rows: Rows) -> str:
    """One line a variant, one column a headline figure: what ``dvc plots`` lays over each other."""
    lines = {variant: headlines(rows, variant) for variant in variants_of(rows)}
    names = [m.headline for m in HEADLINES if any(m.headline in own for own in lines.values())]
    text = io.StringIO()
    writer = csv.DictWriter(text, ["variant", *names], lineterminator="\n")
    writer.writeheader()
    for variant, own in lines.items():
        if own:
            writer.writerow({"variant": variant, **own})
    return text.getvalue()


def _shown(key: str, value: float, metric: Metric | None) -> tuple[str, float]:
    """A figure in the unit of tables: DVC shows five decimals, as which a small one is none."""
    if metric is None or not metric.shown:
        return key, value
    return f"{key}, {metric.shown}", value * metric.factor


if __name__ == "__main__":
    stage_main("release", run)
