"""The workflows of GitHub Actions pass the linters that look for mistakes and for holes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def tool(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found is not None, f"{name} is not installed; run `make setup`"
    return found


def zizmor(path: Path) -> subprocess.CompletedProcess[str]:
    command = [tool("zizmor"), "--offline", "--no-progress", "--no-config", str(path)]
    return subprocess.run(command, capture_output=True, text=True)


def actionlint(*paths: Path) -> subprocess.CompletedProcess[str]:
    # shellcheck is not installed everywhere, and says other things in each version
    command = [tool("actionlint"), "-shellcheck=", "-pyflakes=", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True)


def test_zizmor_finds_nothing() -> None:
    done = zizmor(ROOT / ".github/workflows")
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_finds_nothing() -> None:
    done = actionlint(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_linters_would_find_something(tmp_path: Path) -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    bad = tmp_path / "ci.yml"
    bad.write_text(re.sub(r"checkout@\w+ # v\S+", "checkout@main", text), encoding="utf-8")
    assert "unpinned-uses" in zizmor(bad).stdout
    bad.write_text(text.replace("needs: repro", "needs: nothing"), encoding="utf-8")
    assert actionlint(bad).returncode == 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_permissions_least(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for line in (line.strip().removeprefix("- ") for line in text.splitlines() if "uses:" in line):
        assert PINNED.fullmatch(line), line
    workflow: dict[Any, Any] = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] and job["permissions"]


def test_one_version_of_each_action() -> None:
    found = {
        match
        for path in WORKFLOWS
        for match in re.findall(r"uses: ([\w./-]+)@(\w+)", path.read_text(encoding="utf-8"))
    }
    assert len({name for name, _ in found}) == len(found)


def test_the_release_is_checked_before_it_is_uploaded() -> None:
    path = ROOT / ".github/workflows/release.yml"
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    steps = "\n".join(str(step.get("run", "")) for step in jobs["build"]["steps"])
    order = [
        steps.index(command)
        for command in ("release.lock", "make repro", "release.compare", "release.publish")
    ]
    assert order == sorted(order)
    assert jobs["attest"]["needs"] == "build"
    assert jobs["upload"]["needs"] == ["build", "attest"]
    # only the last job may write, and only it
    writers = [name for name, job in jobs.items() if job["permissions"].get("contents") == "write"]
    assert writers == ["upload"]
