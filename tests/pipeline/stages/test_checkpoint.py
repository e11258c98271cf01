from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.checkpoint.dims import load_dims
from pipeline.checkpoint.record import hash_files, read_record

ROOT = Path(__file__).resolve().parents[3]


def workspace(folder: Path, *overrides: str) -> Path:
    """A folder with composed parameters, and the checkpoint that comes with the project."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "checkpoints").symlink_to(ROOT / "checkpoints")
    command = [sys.executable, "-m", "pipeline.compose", "--output", str(folder / "params.yaml")]
    subprocess.run([*command, *overrides], cwd=ROOT, check=True)
    return folder


def run(folder: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "pipeline.stages.checkpoint"]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_the_default_checkpoint_is_built_and_recorded(tmp_path: Path) -> None:
    folder = workspace(tmp_path)
    status, output = run(folder)
    assert status == 0, output
    assert "mini" in output
    checkpoint = folder / "build" / "checkpoint"
    assert read_record(checkpoint).files == hash_files(checkpoint)


def test_a_local_checkpoint_is_built(tmp_path: Path) -> None:
    first = workspace(tmp_path / "first")
    assert run(first)[0] == 0
    source = first / "build" / "checkpoint"
    second = workspace(tmp_path / "second", "checkpoint=local", f"checkpoint.path={source}")
    status, output = run(second)
    assert status == 0, output
    copied = second / "build" / "checkpoint"
    assert read_record(copied).kind == "local"
    assert hash_files(copied) == hash_files(source)
    shutil.rmtree(source / "asset" / "gpt")
    status, output = run(second)
    assert status == 2
    assert "asset/gpt/config.json" in output and "Traceback" not in output
    # the earlier checkpoint stays
    assert load_dims(copied).hidden_size > 0
