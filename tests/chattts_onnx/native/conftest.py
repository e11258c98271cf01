"""Bundles in every form, and the library; without it these tests are skipped."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import pytest

from chattts_onnx.native.library import UnavailableError, load
from tests.chattts_onnx.native import fused_bundle


@pytest.fixture(scope="session")
def library() -> ctypes.CDLL:
    try:
        return load()
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Path]:
    """A bundle's folder by (form, INT8 cache and embeddings), built once."""
    root = tmp_path_factory.mktemp("fused")

    def build(form: str, whole: bool = True) -> Path:
        folder = root / f"{form}-{whole}"
        if not folder.exists():
            fused_bundle.build(folder, form, whole)
        return folder

    return build
