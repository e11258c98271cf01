"""Candidates and champions, in a database and through a real tracking server."""

from __future__ import annotations

import json
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from pipeline.report.compare import Rule
from pipeline.tracking.config import RegistryConfig, TrackingConfig
from pipeline.tracking.record import record, tracking_uri
from pipeline.tracking.registry import FIGURES_TAG, MACHINE_TAG, Judged, decide
from pipeline.tracking.results import read_results
from tests.pipeline.tracking.servers import mlflow_server

RULES = [
    Rule("kl_divergence", {}, "lower", 0.1, 0.05, 0.001, False),
    Rule("steps_per_second", {"batch": 1}, "higher", 0.1, 0.05, 0.0, True),
]
REGISTRY = RegistryConfig(enabled=True, prefix="p", better=1, rules=RULES)
CONFIG = TrackingConfig("sqlite:///mlflow.db", "mlruns", "test", registry=REGISTRY)
MACHINE = {"cpu": "x", "cores": 2, "isa": []}
HOLDS = {"metric": "kl_divergence", "verdict": "kept"}


def version(figures: dict[str, float], machine: dict[str, Any] = MACHINE) -> ModelVersion:
    tags = {FIGURES_TAG: json.dumps(figures), MACHINE_TAG: json.dumps(machine)}
    return ModelVersion("m", "3", 0, tags=[_tag(k, v) for k, v in tags.items()])


def _tag(key: str, value: str) -> Any:
    from mlflow.entities.model_registry import ModelVersionTag

    return ModelVersionTag(key, value)


BEFORE = {"kl_divergence": 0.1, "steps_per_second[batch=1]": 100.0}


@pytest.mark.parametrize(
    ("now", "gates", "promote", "reason"),
    [
        ({"kl_divergence": 0.05, "steps_per_second[batch=1]": 100.0}, [HOLDS], True, "better than"),
        ({"kl_divergence": 0.1, "steps_per_second[batch=1]": 120.0}, [HOLDS], True, "steps_per"),
        ({"kl_divergence": 0.1, "steps_per_second[batch=1]": 101.0}, [HOLDS], False, "by 0 rules"),
        ({"kl_divergence": 0.2, "steps_per_second[batch=1]": 200.0}, [HOLDS], False, "worse than"),
        ({"steps_per_second[batch=1]": 200.0}, [HOLDS], False, "worse than champion 3: kl_div"),
        ({"kl_divergence": 0.05}, [], False, "no gate"),
        (
            {"kl_divergence": 0.05},
            [HOLDS, {"metric": "snr_db", "verdict": "broken"}],
            False,
            "do not hold: snr_db",
        ),
        (
            {"kl_divergence": 0.05},
            [{"metric": "word_error_rate", "verdict": "broken"}],
            False,
            "do not hold: word_error_rate",
        ),
    ],
)
def test_the_rule(
    now: dict[str, float], gates: list[dict[str, Any]], promote: bool, reason: str
) -> None:
    decision = decide(REGISTRY, Judged("int8", [], gates, MACHINE), now, version(BEFORE))
    assert decision.promote is promote
    assert reason in decision.reason


def test_speed_is_not_compared_between_machines() -> None:
    other = {**MACHINE, "cores": 64}
    now = {"kl_divergence": 0.05, "steps_per_second[batch=1]": 10.0}
    judged = Judged("int8", [], [HOLDS], MACHINE)
    assert decide(REGISTRY, judged, now, version(BEFORE, other)).promote
    assert not decide(REGISTRY, judged, now, version(BEFORE)).promote


def test_the_first_one_needs_only_gates() -> None:
    assert decide(REGISTRY, Judged("int8", [], [HOLDS], MACHINE), {}, None).promote


def set_results(workspace: Path, speed: float, passed: bool) -> None:
    """Change what was measured of int8."""
    path = workspace / "reports/benchmark.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    report["context"] = {"machine": MACHINE}
    for row in report["rows"]:
        if (row["variant"], row["metric"]) == ("int8", "steps_per_second"):
            row["value"] = speed
    path.write_text(json.dumps(report), encoding="utf-8")
    path = workspace / "reports/validation.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    report["context"]["gates"][0]["verdict"] = "kept" if passed else "broken"
    path.write_text(json.dumps(report), encoding="utf-8")


@pytest.mark.slow
def test_bundles_become_candidates_and_champions(
    speaking: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    client = MlflowClient(tracking_uri=tracking_uri(CONFIG.uri, speaking))
    aliases = []
    for speed, passed in ((50.0, True), (51.0, True), (80.0, True), (99.0, False)):
        set_results(speaking, speed, passed)
        record(read_results(speaking), CONFIG, speaking)
        aliases.append(client.get_registered_model("p-mini-int8").aliases)
    # aliases are numbers here and texts there, by the store
    assert [str(entry["candidate"]) for entry in aliases] == ["1", "2", "3", "4"]
    # the second is no better, the fourth breaks a gate
    assert [str(entry["champion"]) for entry in aliases] == ["1", "1", "3", "3"]
    latest = client.get_model_version("p-mini-int8", "4")
    assert "do not hold" in latest.tags["chattts.decision"]

    moved = tmp_path_factory.mktemp("moved")
    for name in ("mlflow.db", "mlruns"):
        (speaking / name).rename(moved / name)
    with chdir(moved):
        copied = MlflowClient(tracking_uri="sqlite:///mlflow.db")
        champion = copied.get_model_version_by_alias("p-mini-int8", "champion")
        model = mlflow.pyfunc.load_model(champion.source)
    answer = model.predict({"text": "hello"}, params={"max_new_tokens": 8})
    assert answer["wav"][0].startswith(b"RIFF")


@pytest.mark.slow
def test_a_remote_server_keeps_everything(
    speaking: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("server")
    (speaking / "mlflow.db").replace(home / "server.db")
    arguments = ["server", "--backend-store-uri", f"sqlite:///{home}/server.db"]
    arguments += ["--artifacts-destination", str(home / "artifacts"), "--serve-artifacts"]
    arguments += ["--workers", "1"]
    with mlflow_server(arguments, "/health", home) as url:
        config = replace(CONFIG, uri=url)
        parent = record(read_results(speaking), config, speaking)
        client = MlflowClient(tracking_uri=url)
        assert client.get_run(parent).info.artifact_uri.startswith("mlflow-artifacts:")
        page = Path(client.download_artifacts(parent, "reports/benchmark.md", str(home)))
        assert page.read_text(encoding="utf-8") == (speaking / "reports/benchmark.md").read_text()
        assert record(read_results(speaking), config, speaking) == parent

        # what a user's own MLflow does
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        previous = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(url)
        try:
            model = mlflow.pyfunc.load_model("models:/p-mini-int8@champion")
        finally:
            mlflow.set_tracking_uri(previous)
        answer = model.predict({"text": "hello"}, params={"max_new_tokens": 8})
        assert answer["wav"][0].startswith(b"RIFF")
    assert not (speaking / "mlflow.db").exists()
    assert not (speaking / "mlruns").exists()
