"""Copies of the project below a temporary folder, and DVC run in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from pipeline.compose import compose_params, render

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("pipeline", "chattts_onnx", "calibration_data", "dvc.yaml", ".dvcignore", ".dvc/config")
SMOKE = ["experiment=smoke"]


def stages() -> dict[str, Any]:
    """The stages of ``dvc.yaml``, in its order, with the values of ``params.yaml`` put in."""
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    params = OmegaConf.load(ROOT / "params.yaml")
    resolved = OmegaConf.merge(params, OmegaConf.create(text))
    found = OmegaConf.to_container(resolved.stages, resolve=True)
    assert isinstance(found, dict)
    return {str(name): stage for name, stage in found.items()}


def outputs(stage: dict[str, Any]) -> list[Path]:
    """All outputs of a stage, metrics and plots included."""
    entries = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
    return [Path(entry if isinstance(entry, str) else next(iter(entry))) for entry in entries]


def descendants(name: str) -> set[str]:
    """Stages that need an output of ``name``, directly or not."""
    known = stages()
    found: set[str] = set()
    made = [path.as_posix() for path in outputs(known[name])]
    for stage, entry in known.items():
        uses = any(dep == out or dep.startswith(f"{out}/") for dep in entry["deps"] for out in made)
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


def environment(folder: Path) -> dict[str, str]:
    """This environment, with its Python first, an identity for git, and DVC's state inside."""
    who = {"NAME": "test", "EMAIL": "test@example.org"}
    identity = {f"GIT_{role}_{key}": who[key] for role in ("AUTHOR", "COMMITTER") for key in who}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    state = {"DVC_SITE_CACHE_DIR": str(folder / ".dvc/tmp/site")}
    return {**os.environ, **identity, **state, "PATH": path}


def dvc(folder: Path, *arguments: str) -> str:
    """Run DVC to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise AssertionError(f"dvc {' '.join(arguments)} failed:\n{done.stdout}")
    return done.stdout


def locked(folder: Path) -> dict[str, Any]:
    """The stages of ``dvc.lock``."""
    lock = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))
    return dict(lock["stages"])
