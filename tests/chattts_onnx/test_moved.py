"""Module paths of the release before still lead to the modules, and say where they are now."""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec

import pytest

from chattts_onnx._moved import MOVED


@pytest.mark.parametrize(("old", "new"), sorted(MOVED.items()))
def test_an_old_path_is_the_same_module(old: str, new: str) -> None:
    sys.modules.pop(f"chattts_onnx.{old}", None)
    with pytest.warns(DeprecationWarning, match=f"chattts_onnx.{old} is now chattts_onnx.{new}"):
        found = import_module(f"chattts_onnx.{old}")
    assert found is import_module(f"chattts_onnx.{new}")
    spec = found.__spec__
    assert spec is not None and spec.name == f"chattts_onnx.{new}"


def test_two_modules_became_packages_of_their_name() -> None:
    with pytest.warns(DeprecationWarning, match="voices.vectors.random_speaker"):
        from chattts_onnx.voices import random_speaker
    assert random_speaker(1, 8).shape == (8,)
    with pytest.warns(DeprecationWarning, match="archive.folder"):
        from chattts_onnx.archive import extract_archive
    assert extract_archive.__module__ == "chattts_onnx.archive.folder"
    with pytest.raises(ImportError):
        from chattts_onnx.voices import nothing  # noqa: F401


def test_new_paths_do_not_warn_and_others_do_not_exist() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        import_module("chattts_onnx.voices.vectors")
        import_module("chattts_onnx.archive.folder")
    assert find_spec("chattts_onnx.nothing") is None


def test_the_warning_shows_the_line_that_imports() -> None:
    code = "import chattts_onnx\nfrom chattts_onnx.streaming import StreamOptions\n"
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True
    )
    assert "<string>:2: DeprecationWarning: chattts_onnx.streaming is now" in done.stderr
