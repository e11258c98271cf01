"""Commands in the README and in ``docs/`` are run, in a project whose smoke pipeline has run."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.pipeline.docs import checking, stand_ins
from tests.pipeline.docs.blocks import Block, read_blocks
from tests.pipeline.docs.running import Page
from tests.pipeline.project import ROOT, commit, environment, marked

# What stops a block from being run; a test that runs it instead is as good a reason.
REASONS = {
    "needs Docker",
    "needs Kubernetes",
    "needs a GPU",
    "needs a Ray cluster",
    "needs a published release",
    "needs an environment of its own",
    "needs tritonserver",
    "takes minutes",
}
ENOUGH = 22
_DVC_TARGET = re.compile(r"\bdvc (?:checkout|fetch|pull|push|repro) ([\w@/.]+)")
_TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
# Read by commands, and not part of the project that only runs stages.
FURTHER = (
    "Makefile", "README.md", "conf", "deploy", "docker", "docs", "peer", "pyproject.toml",
    "requirements", "tests", "triton_server",
)  # fmt: skip


def pages() -> list[str]:
    """Pages with commands, by their path below the root; those that are made hold examples only."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    names = [path.relative_to(ROOT).as_posix() for path in found if path.is_file()]
    return [name for name in names if "/reference/" not in name and read_blocks(ROOT / name)]


@pytest.mark.parametrize("name", pages())
def test_commands_exist_and_take_their_options(name: str) -> None:
    for block in read_blocks(ROOT / name):
        assert not list(checking.faults(block)), f"{name}:{block.line}"


def test_what_dvc_is_asked_for_is_a_stage_or_an_output() -> None:
    lock = yaml.safe_load((ROOT / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    known = {*lock, *(out["path"] for stage in lock.values() for out in stage.get("outs", ()))}
    named = {
        (name, target)
        for name in pages()
        for target in _DVC_TARGET.findall((ROOT / name).read_text(encoding="utf-8"))
    }
    assert named and not [found for found in named if found[1] not in known]


def test_what_is_not_run_has_a_reason() -> None:
    left_out = [
        (f"{name}:{block.line}", block.not_run)
        for name in pages()
        for block in read_blocks(ROOT / name)
        if block.not_run
    ]
    for place, reason in left_out:
        test = _TEST.fullmatch(reason)
        if test:
            assert f"def {test[2]}(" in (ROOT / test[1]).read_text(encoding="utf-8"), place
        else:
            assert reason in REASONS, f"{place}: {reason}"
    listed = Counter(reason for _, reason in left_out)
    assert len(left_out) <= ENOUGH, "\n".join(f"{n} × {reason}" for reason, n in listed.items())


@pytest.fixture
def reader(project: Path, tmp_path: Path) -> Page:
    """A finished project with all that a clone has, and stand-ins for what would take too long."""
    for entry in FURTHER:
        source = ROOT / entry
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, project / entry, ignore=ignored)
        else:
            shutil.copy(source, project / entry)
    (project / "checkpoints").symlink_to(ROOT / "checkpoints")
    activate = project / ".venv/bin/activate"
    activate.parent.mkdir(parents=True)
    activate.touch()
    commit(project)
    real_make = shutil.which("make")
    assert real_make is not None
    programs = stand_ins.install(tmp_path / "programs", real_make)
    inherited = environment(project)
    path = f"{programs}{os.pathsep}{inherited['PATH']}"
    settings = {"PYTHONPATH": str(ROOT), "PATH": path, "MLFLOW_TRACKING_URI": ""}
    kept = {k: v for k, v in inherited.items() if not k.startswith("CHATTTS_")}
    # The project's checkpoint has another name than the default one.
    words = {"chattts-onnx-mini-": "chattts-onnx-smoke-"}
    return Page("", project, {**kept, **settings}, words)


def runnable() -> list[str]:
    """Pages of which something can be run here."""
    return [name for name in pages() if any(not b.not_run for b in read_blocks(ROOT / name))]


@marked
@pytest.mark.parametrize("name", runnable())
def test_commands_run(reader: Page, name: str) -> None:
    blocks: list[Block] = read_blocks(ROOT / name)
    reader.name = name
    reader.run(blocks)
