"""One precision by one command, and the notebook that shows it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import optimize as module
from pipeline.core.errors import ConfigError, StorageError
from pipeline.optimize import REPOSITORY, STAGES, main, optimize

NOTEBOOK = REPOSITORY / "docs/tutorials/optimize.ipynb"
TRIED = {"CHECKPOINT": "smoke", "PRECISION": "int8", "OVERRIDES": ["experiment=smoke"]}


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is asked of workspaces and DVC; the stage leaves a bundle of one file."""
    found: list[Any] = []

    def prepare(name: str, overrides: list[str]) -> Path:
        found.append((name, overrides))
        return tmp_path / "workspace"

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        found.append(command[-1])
        name = command[-1].removeprefix("quantize@").replace("fuse", "fp32")
        bundle = tmp_path / "workspace/bundles" / name
        bundle.mkdir(parents=True, exist_ok=True)
        (bundle / "manifest.json").write_text(name)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(module, "prepare", prepare)
    monkeypatch.setattr(subprocess, "run", run)
    return found


def test_a_folder_and_overrides_reach_the_stages(
    tmp_path: Path, calls: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    out = tmp_path / "out"
    assert main([str(weights), "--precision", "w4", "--out", str(out), "seed=3"]) == 0
    assert calls == [
        ("optimize-local", ["checkpoint=local", f"checkpoint.path={weights}", "seed=3"]),
        "quantize@w4",
    ]
    assert capsys.readouterr().out.strip() == str(out)
    assert (out / "manifest.json").read_text() == "w4"
    optimize("mini", out, "int8")
    assert (out / "manifest.json").read_text() == "int8"


def test_every_precision_has_its_stage() -> None:
    written = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    parts = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))["precision"]
    stages = {"fuse"} & set(written) | {f"quantize@{name}" for name in parts}
    assert set(STAGES.values()) == stages


def test_a_name_is_that_of_a_configuration_wherever_one_stands(
    tmp_path: Path, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # the repository has a folder of this name, and it is no checkpoint
    monkeypatch.chdir(REPOSITORY)
    optimize("mini", tmp_path / "out", "fp32")
    optimize("./mini", tmp_path / "out", "fp32")
    assert [call[0] for call in calls[::2]] == ["optimize-mini", "optimize-local"]


def test_what_cannot_be_made_is_refused_before_work(tmp_path: Path, calls: list[Any]) -> None:
    with pytest.raises(ConfigError, match="expected one of fp32, fp16, int8, w8, w4"):
        optimize("mini", tmp_path / "out", "int3")
    with pytest.raises(ConfigError, match="expected a folder or one of chattts, mini"):
        optimize("minni", tmp_path / "out")
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="no bundle"):
        optimize("mini", tmp_path)
    with pytest.raises(StorageError, match=r"thesis\.txt"):
        optimize("mini", tmp_path / "thesis.txt" / "out")
    assert not calls


def test_a_stage_that_fails_leaves_nothing(
    tmp_path: Path, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ConfigError, match="no way to a bundle"):
        optimize("mini", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_notebook_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a workspace of its own, so that all stages run
    made: list[Path] = []
    given = module.prepare

    def prepare(name: str, overrides: list[str]) -> Path:
        made.append(given(f"{name}-{tmp_path.name}", overrides))
        return made[0]

    monkeypatch.setattr(module, "prepare", prepare)
    cells = [
        "".join(cell["source"])
        for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    scope: dict[str, Any] = {}
    exec(cells[0], scope)
    scope |= {**TRIED, "OUT": str(tmp_path / "bundle")}
    try:
        for cell in cells[1:]:
            exec(cell, scope)
    finally:
        for folder in made:
            shutil.rmtree(folder)
    assert (tmp_path / "speech.wav").stat().st_size > 44
