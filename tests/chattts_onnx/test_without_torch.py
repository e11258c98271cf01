"""Speech in an environment that holds nothing but the base install."""

from __future__ import annotations

import subprocess
import sys
import wave
from importlib import metadata
from pathlib import Path

import pytest

import chattts_onnx
from tests.chattts_onnx import tiny_bundle

BASE = ("numpy", "onnxruntime", "tokenizers")
# what onnxruntime itself needs at run time
NEEDED_BY_BASE = ("flatbuffers", "packaging", "protobuf")

RUN = """
import importlib.util, runpy, sys
sys.path[:0] = sys.argv.pop(1).split(":")
for name in ("torch", "transformers", "onnx", "pipeline"):
    assert importlib.util.find_spec(name) is None, name
runpy.run_module("chattts_onnx", run_name="__main__")
"""


@pytest.fixture
def base_install(tmp_path: Path) -> Path:
    """A folder of links to the base dependencies' own files, as a bare environment has them."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    for name in (*BASE, *NEEDED_BY_BASE):
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            distribution = metadata.distribution(f"{name}-gpu")
        tops = {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}
        for top in tops:
            target = Path(str(distribution.locate_file(top)))
            if target.exists() and not (folder / top).exists():
                (folder / top).symlink_to(target)
    (folder / "chattts_onnx").symlink_to(Path(chattts_onnx.__file__).parent)
    return folder


def test_say_speaks_without_torch(base_install: Path, tmp_path: Path) -> None:
    bundle, out = tmp_path / "bundle", tmp_path / "out.wav"
    tiny_bundle.build(bundle)
    command = ["say", "hello", "-o", str(out), "--bundle", str(bundle), "--max-new-tokens", "8"]
    done = subprocess.run(
        # isolated, and without the site-packages of this interpreter
        [sys.executable, "-I", "-S", "-c", RUN, str(base_install), *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with wave.open(str(out)) as file:
        assert file.getframerate() == tiny_bundle.MODEL.sample_rate
        assert file.getnframes() > 0
