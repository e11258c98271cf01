"""Checkpoints and graphs that several packages' tests share."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.checkpoint.build import build
from pipeline.checkpoint.config import CheckpointConfig
from pipeline.checkpoint.seeded import write_seeded
from pipeline.core.strict import parse_strictly
from pipeline.export.config import ExportConfig
from pipeline.export.run import export_all
from pipeline.params import compose_params
from pipeline.reference.load import Modules, load_modules
from pipeline.stages import fuse
from tests.chattts_onnx import tiny_bundle
from tests.pipeline.checkpoint.tiny import TINY
from tests.pipeline.project import commit, copy_finished, copy_project, dvc, stages
from tests.pipeline.stages.workspaces import DATA, smoke_params


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole small bundle; tests must not change it."""
    folder = tmp_path_factory.mktemp("bundles") / "fp32"
    tiny_bundle.build(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint in the official layout; tests must not change it."""
    folder = tmp_path_factory.mktemp("checkpoint")
    write_seeded(folder, TINY, 11, lambda amount: None)
    return folder


@pytest.fixture(scope="session")
def smoke_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seeded checkpoint of two layers, in the official layout."""
    values = compose_params(["experiment=smoke"])["checkpoint"]
    folder = tmp_path_factory.mktemp("smoke") / "checkpoint"
    build(parse_strictly(values, CheckpointConfig), 1, folder)
    return folder


@pytest.fixture(scope="session")
def smoke_modules(smoke_checkpoint: Path) -> Modules:
    """Its reference modules."""
    return load_modules(smoke_checkpoint)


@pytest.fixture(scope="session")
def smoke_export(smoke_modules: Modules, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its plain graphs, already compared with the modules at every optimization level."""
    folder = tmp_path_factory.mktemp("smoke") / "export"
    folder.mkdir()
    export_all(smoke_modules, ExportConfig(opset=23, parity_cases=2, tolerance=1e-4), folder, 1)
    return folder


@pytest.fixture(scope="session")
def make_workspace(
    smoke_checkpoint: Path, smoke_export: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Makes workspaces as the fuse stage leaves them; each is a test's own."""
    fused = tmp_path_factory.mktemp("smoke") / "fused"
    (fused / "build").mkdir(parents=True)
    (fused / "build" / "checkpoint").symlink_to(smoke_checkpoint)
    (fused / "build" / "export").symlink_to(smoke_export)
    (fused / "calibration_data").symlink_to(DATA)
    fuse.run(smoke_params(), fused)

    def copy(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name) / "smoke"
        return Path(shutil.copytree(fused, folder, symlinks=True))

    return copy


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A project whose smoke pipeline has run, with the seconds each stage took."""
    project = copy_project(tmp_path_factory.mktemp("finished") / "project")
    seconds = {}
    for name in stages():
        started = time.monotonic()
        dvc(project, "repro", "--single-item", name)
        seconds[name] = time.monotonic() - started
    commit(project)
    return project, seconds


@pytest.fixture
def project(finished: tuple[Path, dict[str, float]], tmp_path: Path) -> Iterator[Path]:
    """A copy of the finished project without DVC's memory of earlier runs."""
    copy = tmp_path / "project"
    copy_finished(finished[0], copy)
    # Else DVC would take outputs from there instead of running a stage.
    shutil.rmtree(copy / ".dvc/cache/runs", ignore_errors=True)
    yield copy
    shutil.rmtree(copy)
