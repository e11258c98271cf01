from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.core.errors import ConfigError
from pipeline.workspace import LINKED, prepare

ROOT = Path(__file__).resolve().parents[2]
STAGES = {
    "stages": {
        "copy": {
            "cmd": "python -m pipeline.copy",
            "deps": ["pipeline"],
            "params": ["checkpoint"],
            "outs": ["build/copy"],
        }
    }
}
PROGRAM = """
from pathlib import Path
from pipeline.name import NAME
Path("build").mkdir(exist_ok=True)
Path("build/copy").write_text(NAME)
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with the real DVC settings and a pipeline of one quick stage."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("/workspaces/\n")
    for folder in ("pipeline", "chattts_onnx", "conf", "calibration_data", ".dvc"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pipeline/copy.py").write_text(PROGRAM)
    (tmp_path / "pipeline/name.py").write_text('NAME = "first"\n')
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(STAGES))
    for name in (".dvcignore", ".dvc/config"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def repro(workspace: Path) -> str:
    command = [sys.executable, "-m", "dvc", "repro"]
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(workspace)}
    environment["USER"] = "somebody"  # DVC asks who runs it
    done = subprocess.run(
        command, cwd=workspace, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


def test_a_workspace_is_a_dvc_project_of_its_own(repository: Path) -> None:
    workspace = prepare("other", ["checkpoint=seeded_full"], repository)
    assert workspace == repository / "workspaces/other"
    for name in LINKED:
        assert (workspace / name).resolve() == repository / name
    params = yaml.safe_load((workspace / "params.yaml").read_text())
    assert params["checkpoint"]["name"] == "seeded_full"

    assert "Running stage 'copy'" in repro(workspace)
    assert (workspace / "build/copy").read_text() == "first"
    assert (workspace / "dvc.lock").is_file()
    assert any((workspace / ".dvc/cache/files").rglob("*"))
    # Byte code that the run left beside the sources is no change.
    assert "Running stage" not in repro(workspace)

    # The link is followed when DVC hashes the code.
    (repository / "pipeline/name.py").write_text('NAME = "second"\n')
    assert "Running stage 'copy'" in repro(workspace)
    assert (workspace / "build/copy").read_text() == "second"
    untouched = ("dvc.lock", "params.yaml", "build", "reports")
    assert not any((repository / name).exists() for name in untouched)


def test_preparing_again_keeps_what_was_made(repository: Path) -> None:
    workspace = prepare("other", ["checkpoint=seeded_full"], repository)
    repro(workspace)
    written = (workspace / "params.yaml").stat().st_mtime_ns
    assert prepare("other", ["checkpoint=seeded_full"], repository) == workspace
    assert (workspace / "params.yaml").stat().st_mtime_ns == written
    assert "Running stage" not in repro(workspace)
    prepare("other", ["checkpoint=seeded_full", "seed=9"], repository)
    assert yaml.safe_load((workspace / "params.yaml").read_text())["seed"] == 9


@pytest.mark.parametrize("name", ["", "..", "a/b", "/tmp/x", "-n"])
def test_a_name_that_is_no_folder_name_is_refused(repository: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="workspace name: found"):
        prepare(name, [], repository)
    assert not (repository / "workspaces").exists()


def test_nothing_is_made_for_a_configuration_that_does_not_compose(repository: Path) -> None:
    with pytest.raises(ConfigError, match="none_such"):
        prepare("other", ["checkpoint=none_such"], repository)
    assert not (repository / "workspaces").exists()
