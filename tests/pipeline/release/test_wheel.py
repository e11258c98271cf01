"""The data wheel: whole, repeatable, installed by pip, found by the runtime."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chattts_onnx import __version__
from chattts_onnx.format.manifest import Manifest
from pipeline.core.errors import ReleaseError
from pipeline.release import wheel as wheel_module
from pipeline.release.wheel import bundle_wheel
from tests.pipeline.release.conftest import edit_checkpoint


def named(bundle: Path, name: str) -> Path:
    edit_checkpoint(bundle, name=name)
    return bundle


def test_pip_installs_it_and_its_bundle_is_found(workspace: Path, tmp_path: Path) -> None:
    bundle = named(workspace / "bundles/int8", "mini")
    wheel = bundle_wheel(bundle, "Apache-2.0", tmp_path)
    assert wheel is not None and wheel.name == f"chattts_onnx_mini-{__version__}-py3-none-any.whl"
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "-qq", "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True)
    code = (
        "import importlib.metadata as m, chattts_onnx.format.installed as i;"
        "print(m.version('chattts-onnx-mini'), i.installed_bundles()['mini'])"
    )
    path = os.pathsep.join([str(site), str(Path.cwd())])
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": path},
    ).stdout.split()  # fmt: skip
    assert found[0] == __version__
    assert Manifest.load(found[1]) == Manifest.load(bundle)


def test_its_bytes_repeat(workspace: Path, tmp_path: Path) -> None:
    bundle = named(workspace / "bundles/int8", "mini")
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    first, second = (bundle_wheel(bundle, "Apache-2.0", folder) for folder in folders)
    assert first is not None and second is not None
    assert first.read_bytes() == second.read_bytes()


def test_what_no_index_takes_is_not_made(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = named(workspace / "bundles/int8", "mini")
    monkeypatch.setattr(wheel_module, "LARGEST", 1000)
    assert bundle_wheel(bundle, "Apache-2.0", tmp_path) is None
    assert not list(tmp_path.glob("*.whl"))
    monkeypatch.undo()
    with pytest.raises(ReleaseError, match="expected lower-case letters"):
        bundle_wheel(named(bundle, "Mini/1"), "Apache-2.0", tmp_path)
