"""``dvc.yaml`` says all that a stage needs, and killed or changed stages re-run as they must."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipeline.imports import imported_files
from tests.pipeline.project import (
    ROOT,
    descendants,
    dvc,
    environment,
    locked,
    marked,
    outputs,
    stages,
)
from tools.drills.project import forget

STAGES = stages()
# Timings and run ids differ from run to run; so do reports that hold them.
REPEATABLE_OUTPUTS = {
    "checkpoint": ["build/checkpoint"],
    "fuse": ["bundles/fp32"],
    "calibrate": ["build/calibration"],
    **{f"quantize@{name}": [f"bundles/{name}"] for name in ("fp16", "int8", "w8", "w4")},
    "validate": ["samples"],
}
# Plumbing of every stage, and other groups' dataclasses that pipeline.config puts together.
PLUMBING = frozenset(
    {
        "pipeline/__init__.py",
        "pipeline/stages/_runner.py",
        "pipeline/config.py",
        "pipeline/core/strict.py",
        "pipeline/core/tools.py",
        "pipeline/core/atomic.py",
        "pipeline/core/command.py",
        "pipeline/core/process.py",
        "pipeline/core/progress.py",
        "pipeline/core/errors.py",
        "chattts_onnx/atomic_files.py",
        "chattts_onnx/errors.py",
    }
)

# No stage of the smoke pipeline takes as long on any machine.
GENEROUS_SECONDS = 600.0

# Programs that a stage starts as processes.
STARTED_BY_NAME = {"benchmark": ["pipeline/benchmark/worker.py"]}


def module(name: str) -> Path:
    """The file of a stage."""
    return ROOT / "pipeline/stages" / f"{name.partition('@')[0]}.py"


def covered(path: str, dependencies: list[str]) -> bool:
    return any(path == entry or path.startswith(f"{entry}/") for entry in dependencies)


@pytest.mark.parametrize("name", STAGES)
def test_all_imported_code_is_a_dependency(name: str) -> None:
    starts = [module(name)]
    starts += [ROOT / path for path in STARTED_BY_NAME.get(name, [])]
    imported = {path for start in starts for path in imported_files(start, ROOT, PLUMBING)}
    needed = {path for path in imported if (ROOT / path).stat().st_size > 0}
    missing = {path for path in needed if not covered(path, STAGES[name]["deps"])}
    assert not missing


@pytest.mark.parametrize("name", STAGES)
def test_dependencies_exist_or_are_made_by_an_earlier_stage(name: str) -> None:
    earlier = list(STAGES)[: list(STAGES).index(name)]
    made = [path.as_posix() for stage in earlier for path in outputs(STAGES[stage])]
    for dependency in STAGES[name]["deps"]:
        whole = any(covered(path, [dependency]) for path in made)
        assert (ROOT / dependency).exists() or whole or covered(dependency, made), dependency


@pytest.mark.parametrize("name", STAGES)
def test_all_parameters_that_a_stage_reads_are_declared(name: str) -> None:
    source = module(name).read_text(encoding="utf-8")
    read = set(re.findall(r"\bparams\.(precision\.\w+|calibration\.[\w.]+|\w+)", source))
    if "precision" in read:
        read = read - {"precision"} | {f"precision.{name.partition('@')[2]}"}
    groups = {key for key in STAGES[name]["params"] if not key.startswith("tools.")}
    assert read == groups


def test_every_parameter_is_some_stages() -> None:
    used = {key for stage in STAGES.values() for key in stage["params"]} - {"tools"}
    used -= {"calibration.recording.sentences"}  # a part of calibration
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    leaves = {
        *(f"tools.{name}" for name in params.pop("tools")),
        *(f"precision.{name}" for name in params.pop("precision")),
        *params,
    }
    # A list that groups of parameters take over; stages name those.
    assert used == leaves - {"variants"}


def test_reports_are_kept_in_git_and_the_rest_by_dvc(tmp_path: Path) -> None:
    # A repository of its own, since a source archive has none.
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    shutil.copy(ROOT / ".gitignore", tmp_path)
    for name, stage in STAGES.items():
        entries = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
        for entry in entries:
            path, settings = next(iter(entry.items())) if isinstance(entry, dict) else (entry, {})
            if path.startswith("reports/"):
                assert settings == {"cache": False}, (name, path)
            # A pattern for folders matches what is inside, also where the folder is not made yet.
            inside = path if Path(path).suffix else f"{path}/file"
            ignored = subprocess.run(["git", "check-ignore", "-q", inside], cwd=tmp_path)
            assert (ignored.returncode == 0) != path.startswith("reports/"), (name, path)


@marked
def test_a_second_repro_does_nothing(project: Path) -> None:
    printed = dvc(project, "repro")
    assert "Running stage" not in printed
    assert "up to date" in printed


@marked
def test_an_experiment_reruns_only_what_it_must(project: Path) -> None:
    printed = dvc(project, "exp", "run", "--set-param", "precision.int8.calibrator=percentile")
    ran = re.findall(r"Running stage '([\w@]+)'", printed)
    # the order of stages that do not depend on each other is DVC's
    changed = {name for name, stage in STAGES.items() if "precision.int8" in stage["params"]}
    assert "quantize@int8" in changed
    assert set(ran) == changed.union(*(descendants(name) for name in changed))
    assert ran[-1] == "track"
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    assert params["precision"]["int8"]["calibrator"] == "percentile"


@marked
@pytest.mark.parametrize("name", [name for name in STAGES if name != "track"])
def test_a_killed_stage_resumes(
    project: Path, finished: tuple[Path, dict[str, float]], name: str
) -> None:
    before = locked(project)[name]
    kill_midway(project, name, finished[1][name], has_scratch)
    assert name not in locked(project)

    dvc(project, "repro", "--single-item", name)
    again = locked(project)[name]
    for path in REPEATABLE_OUTPUTS.get(name, []):
        assert digest(again, path) == digest(before, path), path
    assert all((project / path).exists() for path in outputs(STAGES[name]))
    assert not list(project.rglob("*.partial"))
    assert "Running stage" not in dvc(project, "repro", "--single-item", name)


@marked
def test_a_killed_record_is_replaced(project: Path) -> None:
    kill_midway(project, "track", GENEROUS_SECONDS, has_artifacts)
    assert runs(project, "RUNNING")

    dvc(project, "repro", "--single-item", "track")
    assert not runs(project, "RUNNING")
    marker = json.loads((project / "build/tracking.json").read_text(encoding="utf-8"))
    assert len(runs(project, "FINISHED")) == 1 + len(marker["variants"])


def kill_midway(
    project: Path, name: str, usual_seconds: float, writes: Callable[[Path], bool]
) -> None:
    """Undo a stage, run it again, and kill DVC and the stage with SIGKILL while it writes.

    Where nothing is seen being written, that is after part of the usual time.  A stage that ended
    before, or whose end DVC had already written down, is undone and tried again with less time.
    """
    for share in (0.7, 0.5, 0.3, 0.2, 0.1):
        forget(project, name, STAGES[name])
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro", "--single-item", name],
            cwd=project,
            env=environment(project),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + share * usual_seconds
        while process.poll() is None and time.monotonic() < deadline and not writes(project):
            time.sleep(0.002)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.returncode == -signal.SIGKILL and name not in locked(project):
            return
    pytest.fail(f"{name} ended before it could be killed")


def has_scratch(project: Path) -> bool:
    """Whether a stage has written a part of an output (see pipeline.core.atomic)."""
    folders = [project / "build", project / "bundles", project / "reports", project]
    found = (path for folder in folders for path in folder.glob(".*.partial"))
    try:
        return any(path.is_file() or any(path.iterdir()) for path in found)
    except FileNotFoundError:  # renamed between the two looks
        return False


def has_artifacts(project: Path) -> bool:
    """Whether the track stage has begun to copy files."""
    return any((project / "mlruns").glob("*/artifacts/*"))


def runs(project: Path, status: str) -> list[str]:
    """Ids of the MLflow runs of a status that are not deleted."""
    query = "SELECT run_uuid FROM runs WHERE status = ? AND lifecycle_stage = 'active'"
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        return [run for (run,) in database.execute(query, (status,))]


def digest(entry: dict[str, Any], path: str) -> str:
    """Hash of an output in a stage's entry of ``dvc.lock``."""
    return next(str(out["md5"]) for out in entry["outs"] if out["path"] == path)
