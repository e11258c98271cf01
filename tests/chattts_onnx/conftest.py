"""The small bundle, built once a session, and opened."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from chattts_onnx import Bundle, open_bundle
from tests.chattts_onnx import tiny_bundle


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    tiny_bundle.build(folder)
    return folder


@pytest.fixture(scope="session")
def bundle(bundle_path: Path) -> Bundle:
    return open_bundle(bundle_path, threads=1, record_assignment=True)


@pytest.fixture
def own(bundle_path: Path, tmp_path: Path) -> Path:
    """A copy of the bundle to write into."""
    return Path(shutil.copytree(bundle_path, tmp_path / "bundle"))
