"""Write a pipeline's results into MLflow, once.

Only :class:`mlflow.MlflowClient` with an explicit tracking URI is used: the fluent API would obey
``MLFLOW_RUN_ID`` and ``MLFLOW_TRACKING_URI`` of whatever shell the stage runs in.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from pipeline.core.errors import TrackingError
from pipeline.headline import COLUMNS
from pipeline.report.metrics import metrics_table, table_cells
from pipeline.report.rows import find_value
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.database import SQLITE, make_database
from pipeline.tracking.datasets import dataset_input
from pipeline.tracking.models import log_model
from pipeline.tracking.naming import named_metrics
from pipeline.tracking.registry import Judged, forget, model_name, register
from pipeline.tracking.results import Results, Variant, flatten

T = TypeVar("T")

PARENT_TAG = "mlflow.parentRunId"
NOTE_TAG = "mlflow.note.content"
CONTENT_TAG = "chattts.content"
CLIENT_DEFAULTS = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Seven retries of two minutes each, as MLflow has it, keep the stage of a server that is down.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
# Limits of MLflow's log_batch and of its databases.
PARAMS_PER_BATCH = 100
METRICS_PER_BATCH = 1000
MAX_VALUE = 6000


def record(results: Results, config: TrackingConfig, workspace: Path) -> str:
    """Record one parent run with a child for each variant; return the parent's run id.

    Results that are recorded already are left as they are; what a killed stage left half written
    is replaced.

    Raises:
        TrackingError: MLflow refuses.
    """
    # The database's migrations are told line by line otherwise.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    for name, value in CLIENT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    uri = tracking_uri(config.uri, workspace)
    try:
        make_database(uri)
        client = MlflowClient(tracking_uri=uri)
        experiment = _experiment(client, config, workspace)
        for run in _find(client, experiment, CONTENT_TAG, results.content_hash):
            if run.info.status == "FINISHED":
                return str(run.info.run_id)
            _delete(client, experiment, run)
        return _write(client, experiment, results, config, workspace)
    except MlflowException as error:
        raise TrackingError(f"{config.uri}: MLflow answered {error}") from error
    except SQLAlchemyError as error:
        # MLflow lets through what a database says that it has to make or to migrate first.
        reason = getattr(error, "orig", None) or error
        raise TrackingError(
            f"{config.uri}: found {reason}, expected a database with room that may be written"
        ) from error


def tracking_uri(uri: str, workspace: Path) -> str:
    """``uri`` with a relative sqlite path made absolute below ``workspace``."""
    if not uri.startswith(SQLITE):
        return uri
    return SQLITE + str(workspace / uri.removeprefix(SQLITE))


def _experiment(client: MlflowClient, config: TrackingConfig, workspace: Path) -> str:
    known = client.get_experiment_by_name(config.experiment)
    if known is not None:
        return str(known.experiment_id)
    if config.uri.startswith(("http://", "https://")):
        # A server has a place of its own, to which it hands artifacts on.
        return client.create_experiment(config.experiment)
    location = (workspace / config.artifacts).absolute()
    return client.create_experiment(config.experiment, artifact_location=location.as_uri())


def _find(client: MlflowClient, experiment: str, tag: str, value: str) -> list[Run]:
    query = f"tags.`{tag}` = '{value}'"
    return list(client.search_runs([experiment], filter_string=query))


def _delete(client: MlflowClient, experiment: str, run: Run) -> None:
    for child in _find(client, experiment, PARENT_TAG, run.info.run_id):
        forget(client, experiment, child.info.run_id)
        client.delete_run(child.info.run_id)
    client.delete_run(run.info.run_id)


def _write(
    client: MlflowClient,
    experiment: str,
    results: Results,
    config: TrackingConfig,
    workspace: Path,
) -> str:
    checkpoint = str(results.params["checkpoint"]["name"])
    tags = {
        "chattts.checkpoint": checkpoint,
        "chattts.dvc_lock": results.lock_hash,
        "mlflow.source.git.commit": results.git_commit,
        "mlflow.source.name": "pipeline.stages.track",
    }
    parent = client.create_run(
        experiment,
        tags={**tags, CONTENT_TAG: results.content_hash},
        run_name=f"{checkpoint} {results.content_hash[:8]}",
    ).info.run_id
    _log_params(client, parent, flatten(results.params))
    _log_metrics(client, parent, results.rows)
    inputs = [dataset_input(workspace / p, p, use) for use, p in config.datasets.items()]
    if inputs:
        client.log_inputs(parent, inputs)
    for path in results.files:
        folder = "reports" if path.parent.name == "reports" else None
        client.log_artifact(parent, str(path), folder)
    _log_headlines(client, parent, results)
    for variant in results.variants:
        _write_variant(client, experiment, parent, variant, tags, results, config)
    # The status says that nothing is missing, so it comes last.
    client.set_terminated(parent, "FINISHED")
    return str(parent)


def _log_headlines(client: MlflowClient, run: str, results: Results) -> None:
    """The headline figures of all variants: as metrics by which runs are compared, as a table."""
    rows = [row for variant in results.variants for row in variant.rows]
    now = int(time.time() * 1000)
    entities = [
        Metric(f"{variant.name}.{metric.name}", value, now, 0)
        for variant in results.variants
        for metric in COLUMNS
        if (value := find_value(variant.rows, variant.name, metric.name, **metric.where))
        is not None
    ]
    for batch in _batches(entities, METRICS_PER_BATCH):
        client.log_batch(run, metrics=batch)
    if entities:
        header, *lines = table_cells(rows, COLUMNS)
        columns = dict(zip(header, map(list, zip(*lines, strict=True)), strict=True))
        client.log_table(run, columns, "tables/variants.json")
        client.set_tag(run, NOTE_TAG, metrics_table(rows, COLUMNS))


def _write_variant(
    client: MlflowClient,
    experiment: str,
    parent: str,
    variant: Variant,
    tags: Mapping[str, str],
    results: Results,
    config: TrackingConfig,
) -> None:
    own_tags = {**tags, PARENT_TAG: parent, "chattts.variant": variant.name}
    run = client.create_run(experiment, tags=own_tags, run_name=variant.name).info.run_id
    own_params = flatten(results.params.get("precision", {}).get(variant.name) or {})
    _log_params(client, run, {"variant": variant.name, **own_params})
    bundle = variant.manifest.parent if variant.manifest and config.registry.enabled else None
    model = log_model(client, experiment, run, bundle, own_params) if bundle else None
    _log_metrics(client, run, variant.rows, model)
    if variant.manifest is not None:
        client.log_artifact(run, str(variant.manifest), "bundle")
    for path in variant.samples:
        client.log_artifact(run, str(path), "samples")
    if model is not None:
        name = model_name(config.registry, tags["chattts.checkpoint"], variant.name)
        decision = register(client, config.registry, name, run, model, _judged(variant, results))
        client.set_tag(run, "chattts.champion", "yes" if decision.promote else "no")
        client.set_tag(run, "chattts.decision", decision.reason)
    client.set_terminated(run, "FINISHED")


def _judged(variant: Variant, results: Results) -> Judged:
    """A variant with the gates that its reports judged it by."""
    gates = [
        gate
        for context in results.contexts.values()
        for gate in context.get("gates", [])
        if gate.get("variant") == variant.name
    ]
    machine = results.contexts.get("benchmark", {}).get("machine", {})
    return Judged(variant.name, variant.rows, gates, machine)


def _log_params(client: MlflowClient, run: str, params: Mapping[str, str]) -> None:
    entities = [Param(key, value[:MAX_VALUE]) for key, value in params.items()]
    for batch in _batches(entities, PARAMS_PER_BATCH):
        client.log_batch(run, params=batch)
    cut = sorted(key for key, value in params.items() if len(value) > MAX_VALUE)
    if cut:
        client.log_batch(run, tags=[RunTag("chattts.cut_params", " ".join(cut)[:MAX_VALUE])])


def _log_metrics(
    client: MlflowClient,
    run: str,
    rows: Iterable[Mapping[str, object]],
    model: str | None = None,
) -> None:
    now = int(time.time() * 1000)
    entities = [Metric(m.name, m.value, now, m.step, model_id=model) for m in named_metrics(rows)]
    for batch in _batches(entities, METRICS_PER_BATCH):
        client.log_batch(run, metrics=batch)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
