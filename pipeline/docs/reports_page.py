"""``docs/reference/reports.md``: every metric of the reports, its unit and conditions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.docs.markdown import code, table
from pipeline.report.rows import conditions as row_conditions

# Where a report says how it is measured, in the words that its Markdown repeats.
NOTES = {
    "fusion": "pipeline.stages.fuse",
    "benchmark": "pipeline.benchmark.report",
    "int8_targets": "pipeline.studies.targets",
    "load": "pipeline.studies.load.report",
    "outliers": "pipeline.studies.outliers",
    "peer": "pipeline.studies.peer.report",
    "profile": "pipeline.studies.profile.report",
    "sensitivity": "pipeline.sensitivity.report",
    "speech": "pipeline.speech.report",
    "streaming": "pipeline.studies.streaming.report",
    "takes": "pipeline.studies.takes",
    "validation": "pipeline.fidelity.validation_report",
}
_ABOUT = """Each report is `reports/NAME.json`, `{"context": …, "rows": …}`, with a Markdown of the
same name for people. A row has `variant`, `metric`, `value`, `unit` and its conditions; `min` and
`max` span the repeats, `low` and `high` a 95 % interval. `reports/metrics.json` holds one value
for each variant and rule of `conf/release`, in the units of the tables, for `dvc metrics diff`.
In MLflow unit and conditions are part of the name: `kl_divergence_nat/head_all`."""


def render(root: Path) -> str:
    """The page's Markdown, from ``root``/reports and the notes of the modules that write them."""
    blocks = ["# Reports and metrics", _ABOUT]
    for path in sorted((root / "reports").glob("*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        if "rows" in document:
            link = f"[the report](../../reports/{path.stem}.md)"
            blocks += [f"## `{path.stem}`", f"Now: {link}.", metrics_table(document["rows"])]
            if path.stem in NOTES:
                blocks.append(import_module(NOTES[path.stem]).NOTES)
    return "\n\n".join(blocks)


def metrics_table(rows: Iterable[Mapping[str, Any]]) -> str:
    """Metrics in the order of their first rows, with the conditions that any row has."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        conditions = found.setdefault((row["metric"], row["unit"]), {})
        conditions.update(dict.fromkeys(row_conditions(row)))
    lines = [
        (code(metric), unit, ", ".join(map(code, conditions)))
        for (metric, unit), conditions in found.items()
    ]
    return table(("metric", "unit", "conditions"), lines)
