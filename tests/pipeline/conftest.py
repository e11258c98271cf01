"""Checkpoints and graphs that several packages' tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.checkpoint.build import build
from pipeline.checkpoint.config import CheckpointConfig
from pipeline.compose import compose_params
from pipeline.export.config import ExportConfig
from pipeline.export.run import export_all
from pipeline.reference.load import Modules, load_modules
from pipeline.strict import parse_strictly


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
