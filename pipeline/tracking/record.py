"""Write a pipeline's results into MLflow, once.

Only :class:`mlflow.MlflowClient` with an explicit tracking URI is used: the fluent API would obey
``MLFLOW_RUN_ID`` and ``MLFLOW_TRACKING_URI`` of whatever shell the stage runs in.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import chdir
from itertools import islice
from pathlib import Path
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from pipeline.core.errors import TrackingError
from pipeline.headline import COLUMNS, headlines
from pipeline.report.machine import busy_note
from pipeline.report.metrics import metrics_table, table_cells
from pipeline.report.rows import Rows
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.database import SQLITE, make_database
from pipeline.tracking.datasets import dataset_input
from pipeline.tracking.models import log_model
from pipeline.tracking.pages import PARENT_TAG, views
from pipeline.tracking.places import make_relative
from pipeline.tracking.registry import Judged, forget, model_name, register
from pipeline.tracking.results import Results, Variant, flatten

T = TypeVar("T")

NOTE_TAG = "mlflow.note.content"
CONTENT_TAG = "chattts.content"
BUSY_TAG = "chattts.busy"
# By this one MLflow's pages open on runs and their metrics instead of on traces of agents.
KIND_TAG = ("mlflow.experimentKind", "custom_model_development")
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
    is replaced. The workspace is the current folder meanwhile: artifacts of a local database lie at
    places that are relative to it (:mod:`pipeline.tracking.places`).

    Raises:
        TrackingError: MLflow refuses.
    """
    # The database's migrations are told line by line otherwise.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    for name, value in CLIENT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    workspace = workspace.absolute()
    uri = tracking_uri(config.uri, workspace)
    try:
        make_database(uri)
        client = MlflowClient(tracking_uri=uri)
        experiment = _experiment(client, config, workspace)
        make_relative(config.uri, config.artifacts, workspace, experiment)
        for run in _find(client, experiment, CONTENT_TAG, results.content_hash):
            if run.info.status == "FINISHED":
                return str(run.info.run_id)
            _delete(client, experiment, run)
        with chdir(workspace):
            return _write(client, experiment, results, config, workspace)
    except MlflowException as error:
        raise TrackingError(f"{config.uri}: MLflow answered {error}") from error
    except (SQLAlchemyError, sqlite3.Error) as error:
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
        client.set_experiment_tag(known.experiment_id, *KIND_TAG)
        return str(known.experiment_id)
    tags = dict([KIND_TAG])
    if config.uri.startswith(("http://", "https://")):
        # A server has a place of its own, to which it hands artifacts on.
        return client.create_experiment(config.experiment, tags=tags)
    location = (workspace / config.artifacts).absolute()
    return client.create_experiment(config.experiment, location.as_uri(), tags)


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
    if busy := busy_note(results.contexts.get("benchmark", {})):
        tags[BUSY_TAG] = busy[0].replace("**", "")
    parent = client.create_run(
        experiment,
        tags={**tags, CONTENT_TAG: results.content_hash},
        run_name=f"{checkpoint} {results.content_hash[:8]}",
    ).info.run_id
    _log_params(client, parent, flatten(results.params))
    _log_tables(client, parent, results.rows)
    inputs = [dataset_input(workspace / p, p, use) for use, p in config.datasets.items()]
    if inputs:
        client.log_inputs(parent, inputs)
    for path in results.files:
        folder = "reports" if path.parent.name == "reports" else None
        client.log_artifact(parent, str(path), folder)
    _log_summary(client, parent, results)
    for variant in results.variants:
        _write_variant(client, experiment, parent, variant, tags, results, config)
    # The status says that nothing is missing, so it comes last.
    bundles = [variant.name for variant in results.variants if variant.manifest]
    for name, view in views(parent, bundles).items():
        client.set_experiment_tag(experiment, name, view)
    client.set_terminated(parent, "FINISHED")
    return str(parent)


def _log_summary(client: MlflowClient, run: str, results: Results) -> None:
    """The headline figures of all variants: as metrics by which runs are compared, as a table."""
    rows = [row for variant in results.variants for row in variant.rows]
    figures: dict[str, float] = {}
    for variant in results.variants:
        own = headlines(variant.rows, variant.name)
        figures |= {f"{variant.name}.{name}": value for name, value in own.items()}
    _log_metrics(client, run, figures)
    if figures:
        header, *lines = table_cells(rows, COLUMNS)
        columns = dict(zip(header, map(list, zip(*lines, strict=True)), strict=True))
        client.log_table(run, columns, "tables/variants.json")
        busy = busy_note(results.contexts.get("benchmark", {}))
        client.set_tag(run, NOTE_TAG, "\n\n".join([*busy, metrics_table(rows, COLUMNS)]))


def _log_tables(client: MlflowClient, run: str, reports: Mapping[str, Rows]) -> None:
    """Every row of the reports, a table for each: thousands of metrics would hide the headlines."""
    for report, rows in reports.items():
        columns = dict.fromkeys(column for row in rows for column in row)
        cells = {name: [row.get(name) for row in rows] for name in columns}
        client.log_table(run, cells, f"tables/{report}.json")


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
    _log_metrics(client, run, headlines(variant.rows, variant.name), model)
    _log_tables(client, run, variant.reports)
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
    benchmark = results.contexts.get("benchmark", {})
    # speed that others took a part of is compared with nothing, as that of another machine
    machine = {} if busy_note(benchmark) else benchmark.get("machine", {})
    return Judged(variant.name, variant.rows, gates, machine)


def _log_params(client: MlflowClient, run: str, params: Mapping[str, str]) -> None:
    entities = [Param(key, value[:MAX_VALUE]) for key, value in params.items()]
    for batch in _batches(entities, PARAMS_PER_BATCH):
        client.log_batch(run, params=batch)
    cut = sorted(key for key, value in params.items() if len(value) > MAX_VALUE)
    if cut:
        client.log_batch(run, tags=[RunTag("chattts.cut_params", " ".join(cut)[:MAX_VALUE])])


def _log_metrics(
    client: MlflowClient, run: str, figures: Mapping[str, float], model: str | None = None
) -> None:
    now = int(time.time() * 1000)
    entities = [Metric(name, value, now, 0, model_id=model) for name, value in figures.items()]
    for batch in _batches(entities, METRICS_PER_BATCH):
        client.log_batch(run, metrics=batch)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
