from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

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


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.stages.checkpoint"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path) -> tuple[int, str]:
    process = start(folder)
    _, output = process.communicate(timeout=300)
    return process.returncode, output


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


@pytest.mark.slow
def test_a_killed_stage_leaves_nothing_and_resumes(tmp_path: Path) -> None:
    """Killed while it writes; sizes are between mini and full so that this is hit surely."""
    folder = workspace(
        tmp_path,
        "checkpoint=seeded_small",
        "checkpoint.seeded.intermediate_size=12288",
        "checkpoint.seeded.num_hidden_layers=12",
    )
    checkpoint = folder / "build" / "checkpoint"
    process = start(folder)
    scratch = folder / "build" / ".checkpoint.partial"
    deadline = time.monotonic() + 120
    while not (scratch / "asset" / "gpt" / "model.safetensors").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not checkpoint.exists()
    assert scratch.exists()
    status, output = run(folder)
    assert status == 0, output
    assert not scratch.exists()
    assert read_record(checkpoint).files == hash_files(checkpoint)
    values = yaml.safe_load((folder / "params.yaml").read_text("utf-8"))
    assert (
        load_dims(checkpoint).intermediate_size
        == values["checkpoint"]["seeded"]["intermediate_size"]
    )
