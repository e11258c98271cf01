"""Registered models: every bundle a candidate, the best one that keeps all gates the champion."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from pipeline.report.compare import Figures, figures, same_machine, verdicts
from pipeline.report.gates import BROKEN
from pipeline.tracking.config import RegistryConfig

CANDIDATE = "candidate"
CHAMPION = "champion"
FIGURES_TAG = "chattts.figures"
MACHINE_TAG = "chattts.machine"
DECISION_TAG = "chattts.decision"


@dataclass(frozen=True)
class Judged:
    """What a candidate is judged by.

    Attributes:
        variant: its name.
        rows: its rows of all reports.
        gates: verdicts of the validation and speech stages on it.
        machine: what the speed was measured on.
    """

    variant: str
    rows: Sequence[Mapping[str, Any]]
    gates: Sequence[Mapping[str, Any]]
    machine: Mapping[str, Any]

    @property
    def broken(self) -> list[str]:
        """Names of the gates that do not hold."""
        return [str(gate["metric"]) for gate in self.gates if gate["verdict"] == BROKEN]


@dataclass(frozen=True)
class Decision:
    """Whether a candidate becomes champion, and why."""

    promote: bool
    reason: str


def model_name(config: RegistryConfig, checkpoint: str, variant: str) -> str:
    """Name of the registered model."""
    return f"{config.prefix}-{checkpoint}-{variant}"


def register(
    client: MlflowClient, config: RegistryConfig, name: str, run: str, model: str, judged: Judged
) -> Decision:
    """Register a logged model, name it candidate, and champion where it earns that."""
    _ensure(client, name)
    now = figures(judged.rows, judged.variant, config.rules)
    version = client.create_model_version(
        name,
        # Not `models:/<id>`: a database would look that up at the default tracking URI.
        source=client.get_logged_model(model).artifact_location,
        run_id=run,
        model_id=model,
        tags={FIGURES_TAG: json.dumps(now), MACHINE_TAG: json.dumps(dict(judged.machine))},
    )
    client.set_registered_model_alias(name, CANDIDATE, version.version)
    decision = decide(config, judged, now, champion(client, name))
    client.set_model_version_tag(name, version.version, DECISION_TAG, decision.reason)
    if decision.promote:
        client.set_registered_model_alias(name, CHAMPION, version.version)
    return decision


def champion(client: MlflowClient, name: str) -> ModelVersion | None:
    """The present champion, None where there is none."""
    model = client.get_registered_model(name)
    if CHAMPION not in model.aliases:
        return None
    return client.get_model_version_by_alias(name, CHAMPION)


def decide(
    config: RegistryConfig, judged: Judged, now: Figures, present: ModelVersion | None
) -> Decision:
    """Apply the rule of ``conf/tracking`` (see there)."""
    if not judged.gates:
        return Decision(False, "no gate was measured for it")
    if judged.broken:
        return Decision(False, f"gates that do not hold: {', '.join(judged.broken)}")
    if present is None:
        return Decision(True, f"all {len(judged.gates)} gates hold, and there was no champion")
    before = json.loads(present.tags.get(FIGURES_TAG, "{}"))
    alike = same_machine(json.loads(present.tags.get(MACHINE_TAG, "{}")), judged.machine)
    found = verdicts(before, now, config.rules, alike)
    worse = [key for key, verdict in found.items() if verdict in ("worse", "gone")]
    better = [key for key, verdict in found.items() if verdict == "better"]
    against = f"champion {present.version}"
    if worse:
        return Decision(False, f"worse than {against}: {', '.join(worse)}")
    if len(better) < config.better:
        return Decision(
            False, f"better than {against} by {len(better)} rules, needed {config.better}"
        )
    return Decision(True, f"better than {against}: {', '.join(better)}")


def forget(client: MlflowClient, experiment: str, run: str) -> None:
    """Delete the models and model versions of a run that was left half written."""
    for version in client.search_model_versions(f"run_id = '{run}'"):
        client.delete_model_version(version.name, version.version)
    for model in client.search_logged_models([experiment], f"source_run_id = '{run}'"):
        client.delete_logged_model(model.model_id)


def _ensure(client: MlflowClient, name: str) -> None:
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        client.create_registered_model(name)
