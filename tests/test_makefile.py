"""What the Makefile hands on: folders and overrides with spaces, quotes and Chinese; no git."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from pipeline.params import compose_values, readable

ROOT = Path(__file__).resolve().parents[1]
# In place of the environment's Python: notes what it was given.
PYTHON = """#!/bin/sh
for word in "$@"; do printf '%s\\0' "$word" >> "$NOTES"; done
printf '\\n' >> "$NOTES"
mkdir -p workspaces/local workspaces/mini
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy with the Makefile alone, in a folder with spaces, under git."""
    folder = tmp_path / "my repo"
    (folder / ".git").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / "conf/checkpoint", folder / "conf/checkpoint")
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for build in ("cpu", "gpu"):
        (folder / "venv" / "bin").mkdir(parents=True, exist_ok=True)
        stamp = folder / "venv" / f".installed-{build}"
        stamp.touch()
        os.utime(stamp, (4e9, 4e9))
    python = folder / "venv" / "bin" / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return folder


def make(checkout: Path, *words: str) -> list[list[str]]:
    """Arguments of every call of Python that ``make`` makes."""
    notes = checkout.parent / "notes"
    notes.unlink(missing_ok=True)
    environment = {**os.environ, "NOTES": str(notes), "MAKEFLAGS": ""}
    path = f"{checkout / 'venv' / 'bin'}:{os.environ['PATH']}"
    command = ["make", "-o", "setup", "VENV=venv", *words]
    done = subprocess.run(
        command, cwd=checkout, env={**environment, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [line.split("\0")[:-1] for line in notes.read_text("utf-8").split("\n") if line]


NAMES = [
    "plain",
    "my model",
    "it's mine",
    "模型 一",
    'say "hi"',
    "a,b",
    "a$b",
    "a(1)",
    "a#b",
    "a;b&c",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_s_folder_may_have_any_name(name: str, checkout: Path, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    # make itself reads a dollar as the start of a variable.
    escaped = str(folder).replace("$", "$$")
    first, *rest = make(checkout, "repro", f"CHECKPOINT_DIR={escaped}")
    assert first[:3] == ["-m", "pipeline.workspace", "local"]
    assert first[3:] == ["checkpoint=local", f"checkpoint.path={folder}"]
    assert [words[1] for words in rest] == ["pipeline.repro", "pipeline.summary"]


def test_a_relative_folder_is_made_absolute(checkout: Path) -> None:
    (checkout / "my model").mkdir()
    first = make(checkout, "repro", "CHECKPOINT_DIR=my model")[0]
    assert first[-1] == f"checkpoint.path={checkout / 'my model'}"


def test_without_git_all_runs_in_a_workspace(checkout: Path) -> None:
    assert make(checkout, "repro")[0] == ["-m", "pipeline.compose"]
    (checkout / ".git").rmdir()
    assert make(checkout, "repro")[0] == ["-m", "pipeline.workspace", "mini"]


PATHS = [
    "/data/my model", "/a b/c's", "/数据/模型 一", "/a,b", "/a=b", "C:\\x y\\", "/a (1)",
    "/it's \\' odd", "$HOME/x", "/a#b", "{x} y", '/say "hi"', "/plain",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_overrides_take_any_path(path: str) -> None:
    """Given whole, and split at its spaces, as make hands OVERRIDES on."""
    words = ["a=1", *f"checkpoint.path={path} seed=5".split(" ")]
    parse = OverridesParser.create().parse_override
    for overrides in (["a=1", f"checkpoint.path={path}", "seed=5"], words):
        found = {o.key_or_group: o.value() for o in map(parse, readable(overrides))}
        assert found == {"a": 1, "checkpoint.path": path, "seed": 5}


def test_overrides_keep_their_own_syntax() -> None:
    values = compose_values(
        ["checkpoint=local", "checkpoint.path='/a b'", "checkpoint.voices=[x,y]"]
    )
    assert (values["checkpoint"]["path"], values["checkpoint"]["voices"]) == ("/a b", ["x", "y"])


def test_help_is_shown_on_any_console() -> None:
    """Of one command: what makes it so stands in the package, before any of them begins."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pipeline.compose", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"\\u2026" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["CHECKPOINT=minni"], "CHECKPOINT is minni; expected one of"),
        (["CHECKPOINT=local"], "expected its folder, too"),
        (["CHECKPOINT_DIR=/no where"], "found no such folder"),
    ],
)
def test_a_checkpoint_that_is_not_there_is_told_before_set_up(words: list[str], told: str) -> None:
    done = subprocess.run(
        ["make", "repro", "VENV=no-such-venv", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2 and told in done.stderr
    assert not (ROOT / "no-such-venv").exists()
