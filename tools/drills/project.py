"""Clones of the repository, and DVC run in them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from chattts_onnx.format.files import hash_file
from pipeline.core.errors import PipelineError
from pipeline.params import compose_params, render

REPOSITORY = Path(__file__).resolve().parents[2]
# What DVC remembers of earlier runs; with it, outputs would come back instead of being made.
MEMORY = Path(".dvc/cache/runs")


class DrillError(PipelineError):
    """A drill could not be carried out."""


def clone(folder: Path, overrides: Sequence[str] = (), repository: Path = REPOSITORY) -> Path:
    """A clean clone of what is committed, with ``params.yaml`` composed from ``overrides``.

    Raises:
        DrillError: git refuses.
        ConfigError: the overrides do not compose.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["git", "clone", "--quiet", str(repository), str(folder)], capture_output=True, text=True
    )
    if done.returncode:
        raise DrillError(f"{folder}: found git clone failing ({done.stderr.strip()})")
    if overrides:
        text = render(compose_params(list(overrides), folder / "conf"), list(overrides))
        (folder / "params.yaml").write_text(text, encoding="utf-8")
    return folder


def commit_of(folder: Path) -> str:
    """Commit that is checked out in ``folder``."""
    command = ["git", "rev-parse", "HEAD"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def environment(folder: Path) -> dict[str, str]:
    """This environment with its Python first, the folder's own code, an identity for git, and
    DVC's state inside the folder."""
    who = {"NAME": "test", "EMAIL": "test@example.org"}
    identity = {f"GIT_{role}_{key}": who[key] for role in ("AUTHOR", "COMMITTER") for key in who}
    return {
        **os.environ,
        **identity,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder),
        "DVC_SITE_CACHE_DIR": str(folder / ".dvc/tmp/site"),
        # Threads of PyTorch that wait for each other busily take minutes beside other work.
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def call(
    clone: Path,
    command: Sequence[str],
    place: Path | None = None,
    extra: Mapping[str, str] | None = None,
    seconds: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command with the code of ``clone``, there or in ``place``, to its end.

    Raises:
        DrillError: it has none within ``seconds``.
    """
    try:
        return subprocess.run(
            command, cwd=place or clone, env={**environment(clone), **(extra or {})},
            capture_output=True, text=True, timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise DrillError(f"{command[-1]} has not ended after {seconds:g} s") from error


@contextmanager
def cores_only(count: int | None) -> Iterator[None]:
    """Let this process and those it starts use so many cores; None leaves all."""
    before = os.sched_getaffinity(0)
    try:
        if count is not None:
            os.sched_setaffinity(0, sorted(before)[:count])
        yield
    finally:
        os.sched_setaffinity(0, before)


def dvc(folder: Path, *arguments: str, extra: Mapping[str, str] | None = None) -> str:
    """Run DVC to its end and return what it printed.

    Raises:
        DrillError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env={**environment(folder), **(extra or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise DrillError(f"dvc {' '.join(arguments)} failed:\n{done.stdout}")
    return done.stdout


def stages(folder: Path = REPOSITORY) -> dict[str, Any]:
    """The stages of ``dvc.yaml``, in its order, with the values of ``params.yaml`` put in.

    One with ``foreach`` is as many as DVC makes of it, named ``stage@key``.
    """
    written = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    params = OmegaConf.load(folder / "params.yaml")
    single: dict[str, Any] = {}
    for name, stage in written.items():
        if "foreach" not in stage:
            single[name] = stage
            continue
        for key in OmegaConf.select(params, stage["foreach"].strip("${}")):
            filled = yaml.safe_dump(stage["do"]).replace("${key}", key)
            single[f"{name}@{key}"] = yaml.safe_load(filled)
    resolved = OmegaConf.merge(params, {"stages": single})
    found = OmegaConf.to_container(resolved.stages, resolve=True)
    assert isinstance(found, dict)
    return {str(name): stage for name, stage in found.items()}


def stage_command(folder: Path, name: str) -> list[str]:
    """Words of a stage's command, run by this Python."""
    return [sys.executable, *shlex.split(stages(folder)[name]["cmd"])[1:]]


def outputs(stage: Mapping[str, Any]) -> list[Path]:
    """All outputs of a stage, metrics and plots included."""
    entries = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
    return [Path(entry if isinstance(entry, str) else next(iter(entry))) for entry in entries]


def locked(folder: Path) -> dict[str, Any]:
    """The stages of ``dvc.lock``."""
    try:
        lock = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))
    except yaml.YAMLError:
        lock = None
    # A kill may have cut it short.
    return dict(lock["stages"]) if isinstance(lock, dict) and "stages" in lock else {}


def forget(folder: Path, name: str, stage: Mapping[str, Any]) -> None:
    """Undo a stage: its outputs, its entry in ``dvc.lock``, DVC's memory of its run, its record."""
    lock = folder / "dvc.lock"
    state = yaml.safe_load(lock.read_text(encoding="utf-8"))
    state["stages"].pop(name, None)
    lock.write_text(yaml.safe_dump(state), encoding="utf-8")
    paths = [*outputs(stage), MEMORY]
    if name == "track":
        paths += [Path("mlflow.db"), Path("mlruns")]
    for path in paths:
        remove(folder / path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def digest(path: Path) -> str | None:
    """sha256 of a file, or of the names and contents of a folder; None where nothing is."""
    if path.is_file():
        return hash_file(path)
    if not path.is_dir():
        return None
    entries = sorted(entry for entry in path.rglob("*") if entry.is_file())
    lines = [f"{hash_file(entry)}  {entry.relative_to(path).as_posix()}\n" for entry in entries]
    return sha256("".join(lines).encode()).hexdigest()
