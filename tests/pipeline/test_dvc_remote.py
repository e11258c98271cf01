"""What DVC does beyond one machine and one run: remotes, comparisons, the queue, other tools."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import yaml

from chattts_onnx import cli
from chattts_onnx.format.manifest import Manifest
from tests.pipeline.project import commit, dvc, environment, marked, stages

STAGES = stages()
# For a worker that died, not for a slow machine.
GENEROUS_SECONDS = 300.0


@marked
def test_a_clone_pulls_and_has_nothing_to_do(project: Path, tmp_path: Path) -> None:
    dvc(project, "remote", "add", "--default", "store", str(tmp_path / "store"))
    commit(project)
    dvc(project, "push")
    assert "in sync" in dvc(project, "status", "--cloud")

    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(project), str(clone)], check=True)
    assert not (clone / "bundles").exists()
    dvc(clone, "pull")
    printed = dvc(clone, "repro")
    assert "Running stage" not in printed
    assert "up to date" in printed
    assert "up to date" in dvc(clone, "status")
    assert Manifest.load(clone / "bundles/int8").variant == "int8"
    assert cli.main(["verify", str(clone / "dist")]) == 0
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert changed.stdout == ""


@marked
def test_what_changed_is_shown_as_tables_and_pictures(project: Path) -> None:
    path = project / "reports/metrics.json"
    metrics = json.loads(path.read_text())
    metrics["int8"]["size_bytes, MB"] += 1000.0
    path.write_text(json.dumps(metrics))
    shown = dvc(project, "metrics", "diff", "--md", "--targets", "reports/metrics.json")
    rows = [line for line in shown.splitlines() if line.startswith("| reports/metrics.json")]
    assert len(rows) == 1
    assert "int8.size_bytes" in rows[0]
    assert "1000" in rows[0]

    dvc(project, "plots", "show", "--out", "plots")
    page = (project / "plots/index.html").read_text()
    assert "benchmark" in page and "validation" in page


@marked
def test_a_queued_experiment_is_run(project: Path) -> None:
    """Of ``track`` alone, which is quick, by a worker that outlives the command."""
    dvc(project, "exp", "run", "--queue", "--set-param", "tracking.experiment=queued")
    assert dvc(project, "queue", "status").count("Queued") == 1
    dvc(project, "queue", "start")
    deadline = time.monotonic() + GENEROUS_SECONDS
    while "Success" not in (status := dvc(project, "queue", "status")):
        assert "Failed" not in status and time.monotonic() < deadline, status
        time.sleep(0.5)
    shown = json.loads(dvc(project, "exp", "show", "--json"))
    assert '"experiment": "queued"' in json.dumps(shown)


@marked
def test_another_version_of_a_tool_reruns_what_depends_on_it(project: Path) -> None:
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["tools"]["onnxconverter-common"] = "0.0.1"
    path.write_text(yaml.safe_dump(params))
    status = json.loads(dvc(project, "status", "--json"))
    changed = {
        name
        for name, reasons in status.items()
        if "onnxconverter-common" in json.dumps(reasons) or "'tools'" in json.dumps(reasons)
    }
    keys = {"tools", "tools.onnxconverter-common"}
    assert changed >= {name for name, stage in STAGES.items() if keys & set(stage["params"])} - {
        # `tools` as a whole is told by its own name
        name
        for name, stage in STAGES.items()
        if "tools" in stage["params"]
    }
    assert "quantize@fp16" in changed
    assert not {"fuse", "calibrate", "validate"} & changed
    # and the stage itself refuses to run with what is installed now
    done = subprocess.run(
        ["python", "-m", "pipeline.stages.quantize", "fp16"],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert re.search(r"tools\.onnxconverter-common:\s+found", done.stderr)
