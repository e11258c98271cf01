"""What the record of a whole pipeline holds."""

from __future__ import annotations

from contextlib import chdir
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from tests.pipeline.project import marked


def paths(project: Path, client: MlflowClient, run: Run, folder: str | None = None) -> set[str]:
    with chdir(project):
        return {entry.path for entry in client.list_artifacts(run.info.run_id, folder)}


@marked
def test_all_that_runs_are_compared_by_is_recorded(project: Path) -> None:
    client = MlflowClient(tracking_uri=f"sqlite:///{project}/mlflow.db")
    experiment = client.get_experiment_by_name("chattts-onnx")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    children = {run.info.run_name: run for run in runs if run.info.run_id != parent.info.run_id}
    assert {"reference", "fp32", "fp16", "int8", "w8", "w4"} <= set(children)

    assert {"listen.html", "params.yaml", "dvc.lock", "reports", "tables"} <= paths(
        project, client, parent
    )
    reports = {f"reports/{name}.png" for name in ("sensitivity", "validation", "benchmark")}
    assert reports | {"reports/tradeoff.md"} <= paths(project, client, parent, "reports")
    assert "tables/variants.json" in paths(project, client, parent, "tables")
    used = {tag.value for data in parent.inputs.dataset_inputs for tag in data.tags}
    assert used == {"calibration", "validation"}

    int8 = children["int8"]
    assert any(path.endswith(".wav") for path in paths(project, client, int8, "samples"))
    assert int8.data.params["calibrator"] == "mse"
    assert "kl_mnat" in int8.data.metrics
    assert int8.data.tags["chattts.champion"] == "yes"
    aliases = client.get_registered_model("chattts-onnx-smoke-int8").aliases
    assert {name: str(version) for name, version in aliases.items()} == {
        "candidate": "1",
        "champion": "1",
    }
