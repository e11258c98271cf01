"""MLflow's pages of a workspace's records: links into them, and what they open on.

A view that somebody shared is a tag of the experiment, which a link names. Left alone, MLflow shows
runs without figures, and a chart of one bar for every metric of every run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from pipeline.headline import HEADLINES

PARENT_TAG = "mlflow.parentRunId"
VIEW_TAG = "mlflow.sharedViewState."
# Of each variant, as columns of the table of runs.
COLUMNS = ("steps_per_second", "top1", "wer_en")


def views(parent: str, variants: Sequence[str]) -> dict[str, str]:
    """Tags of the experiment: the table of all runs, the charts of one run's variants.

    Args:
        parent: id of the run.
        variants: those that it measured.
    """
    columns = [f"metrics.`{variant}.{name}`" for name in COLUMNS for variant in variants]
    found = {"runs": {"selectedColumns": columns}, "variants": _charts(parent)}
    return {f"{VIEW_TAG}{name}": json.dumps(view) for name, view in found.items()}


def _charts(parent: str) -> dict[str, Any]:
    """A chart of each headline figure with a bar for every child of ``parent``."""
    section = "variants"
    charts = [
        {
            "type": "BAR",
            "uuid": metric.headline,
            "metricKey": metric.headline,
            "metricSectionId": section,
            "runsCountToCompare": 10,
            "isGenerated": False,
            "deleted": False,
        }
        for metric in HEADLINES
    ]
    return {
        "compareRunCharts": charts,
        "compareRunSections": [
            {"uuid": section, "name": "Variants", "display": True, "isReordered": False}
        ],
        "isAccordionReordered": True,
        "searchFilter": f"tags.`{PARENT_TAG}` = '{parent}'",
        # Sorted by date they would be folded into their parent.
        "orderByKey": "metrics.`steps_per_second`",
        "orderByAsc": False,
    }


def links(url: str, experiment: str) -> dict[str, str]:
    """Links by the names of :func:`views`.

    Args:
        url: of the server, without a slash at its end.
        experiment: its id.
    """
    # Else MLflow 3 opens on traces of agents, whatever the experiment's tag says.
    kind = {"workflowType": "machine_learning"}
    modes = {"runs": "TABLE", "variants": "CHART"}
    return {
        name: f"{url}/#/experiments/{experiment}/runs?"
        + urlencode({**kind, "compareRunsMode": mode, "viewStateShareKey": name})
        for name, mode in modes.items()
    }
