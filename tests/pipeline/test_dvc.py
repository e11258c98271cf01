"""``dvc.yaml`` says all that a stage needs, and killed or changed stages re-run as they must."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.pipeline.imports import imported_files
from tests.pipeline.project import (
    ROOT,
    descendants,
    dvc,
    marked,
    outputs,
    stages,
)
from tools.drills.kill_rounds import kill_round
from tools.drills.project import digest
from tools.drills.reference import Reference

STAGES = stages()
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
@pytest.mark.parametrize("name", STAGES)
def test_a_killed_stage_resumes(
    project: Path, finished: tuple[Path, dict[str, float]], name: str
) -> None:
    # The project was committed after it had run, and a release states the commit.
    made = {
        path.as_posix(): str(digest(project / path))
        for path in outputs(STAGES[name])
        if path != Path("dist")
    }
    late = partial(random.Random(name).uniform, 0.4, 0.9)
    found = kill_round(project, name, Reference(finished[1][name], made), late)
    assert found["broken"] == []
    assert "Running stage" not in dvc(project, "repro", "--single-item", name)
