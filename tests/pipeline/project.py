"""Copies of the project below a temporary folder, and DVC run in them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline.params import compose_params, render
from tools.drills.project import dvc, environment, locked, outputs, stages

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    "pipeline", "chattts_onnx", "native/src", "calibration_data", "dvc.yaml", ".dvcignore",
    ".dvc/config",
)  # fmt: skip
SMOKE = ["experiment=smoke"]
__all__ = ["ROOT", "copy_project", "descendants", "dvc", "environment", "git", "locked", "marked"]
__all__ += ["commit", "outputs", "stages"]


def files(pattern: str) -> list[str]:
    """The project's files of a name, as git knows them; in a source archive all that there are."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", pattern]
        listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        return [name for name in listed.stdout.split("\0") if (ROOT / name).is_file()]
    made = {"workspaces", "build", "bundles", "mlruns", "site"}
    found = (path.relative_to(ROOT) for path in ROOT.rglob(pattern) if path.is_file())
    return [
        path.as_posix()
        for path in found
        if not (path.parts[0] in made or any(p[0] == "." and p != ".github" for p in path.parts))
    ]


def descendants(name: str) -> set[str]:
    """Stages that need an output of ``name``, directly or not."""
    known = stages()
    found: set[str] = set()
    made = [path.as_posix() for path in outputs(known[name])]
    for stage, entry in known.items():
        uses = any(
            dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/")
            for dep in entry["deps"]
            for out in made
        )
        if uses:
            found |= {stage, *descendants(stage)}
    return found


def marked(test: Any) -> Any:
    """Slow, and in one process, since all of these start from one finished pipeline."""
    return pytest.mark.slow(pytest.mark.xdist_group("finished_pipeline")(test))


def copy_project(folder: Path) -> Path:
    """A git repository with the sources and the parameters of the smoke experiment."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        source, destination = ROOT / name, folder / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, destination, ignore=ignored)
        else:
            shutil.copy(source, destination)
    shutil.copy(ROOT / ".gitignore", folder)
    (folder / "params.yaml").write_text(render(compose_params(SMOKE), SMOKE), encoding="utf-8")
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def copy_finished(finished: Path, folder: Path) -> None:
    """A copy that shares DVC's cached files, which are never changed in place."""
    cache = str(finished / ".dvc/cache")

    def copy(source: str, destination: str) -> None:
        if source.startswith(cache):
            os.link(source, destination)
        else:
            shutil.copy2(source, destination)

    shutil.copytree(finished, folder, symlinks=True, copy_function=copy)


def git(folder: Path, *arguments: str) -> None:
    """Run git with an identity, since ``dvc exp run`` commits."""
    subprocess.run(["git", *arguments], cwd=folder, env=environment(folder), check=True)


def commit(folder: Path) -> None:
    """Commit everything that git does not ignore."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "state")
