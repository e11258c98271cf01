"""The last finished record of the same checkpoint, and what changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.tracking.changes import metric_diff, parameter_diff
from pipeline.tracking.naming import named_metrics
from pipeline.tracking.results import Variant

FOLDER = "changes"
COMPARED_TAG = "chattts.compared_with"


def earlier_run(client: MlflowClient, experiment: str, checkpoint: str, parents: str) -> Run | None:
    """The last finished run of a checkpoint that has the tag ``parents``, None for the first.

    The last is the one that no other was compared with; start times tell only where that leaves
    several, since clocks are set back.
    """
    found = client.search_runs(
        [experiment],
        filter_string=(
            f"tags.`chattts.checkpoint` = '{checkpoint}' and tags.`{parents}` != '' "
            "and attributes.status = 'FINISHED'"
        ),
        order_by=["attributes.start_time DESC"],
    )
    followed = {run.data.tags.get(COMPARED_TAG) for run in found}
    return next((run for run in found if run.info.run_id not in followed), None)


def log_changes(
    client: MlflowClient,
    experiment: str,
    run: str,
    earlier: Run,
    params: Mapping[str, str],
    variants: Sequence[Variant],
) -> None:
    """Log ``changes/params.diff`` and the table ``changes/metrics.json`` against ``earlier``."""
    name = str(earlier.info.run_name)
    diff = parameter_diff(earlier.data.params, params, name)
    client.log_text(run, diff or f"no parameter differs from {name}\n", f"{FOLDER}/params.diff")
    client.set_tag(run, COMPARED_TAG, earlier.info.run_id)
    children = client.search_runs(
        [experiment], filter_string=f"tags.`mlflow.parentRunId` = '{earlier.info.run_id}'"
    )
    before = {
        f"{child.data.tags.get('chattts.variant')}/{key}": value
        for child in children
        for key, value in child.data.metrics.items()
    }
    after = {
        f"{variant.name}/{metric.name}": metric.value
        for variant in variants
        for metric in named_metrics(variant.rows)
    }
    table = metric_diff(before, after)
    if table["metric"]:
        client.log_table(run, table, f"{FOLDER}/metrics.json")
