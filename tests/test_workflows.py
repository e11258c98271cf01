"""The workflows of GitHub Actions pass the linters that look for mistakes and for holes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
# Commands that install torch.
INSTALLS = re.compile(r"make (setup|lint|test|audit|repro)\b")
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def tool(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found is not None, f"{name} is not installed; run `make setup`"
    return found


def load(name: str) -> dict[Any, Any]:
    text = (ROOT / f".github/workflows/{name}.yml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def zizmor(path: Path) -> subprocess.CompletedProcess[str]:
    command = [tool("zizmor"), "--offline", "--no-progress", "--no-config", str(path)]
    # It wants a home, and uses none.
    environment = {"HOME": "/", **os.environ}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


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
    jobs = load("release")["jobs"]
    steps = "\n".join(str(step.get("run", "")) for step in jobs["build"]["steps"])
    order = [steps.index(command) for command in ("release.lock", "make repro", "release.publish")]
    assert order == sorted(order)
    assert jobs["attest"]["needs"] == "build"
    assert jobs["image"]["needs"] == ["build", "attest"]
    assert jobs["upload"]["needs"] == ["build", "attest", "image"]
    assert "upload" in jobs["pypi"]["needs"]
    # only the last job may write, and only it
    writers = [name for name, job in jobs.items() if job["permissions"].get("contents") == "write"]
    assert writers == ["upload"]


def test_images_are_pushed_by_the_release_alone() -> None:
    for path in WORKFLOWS:
        workflow = load(path.stem)
        # YAML reads `on` as true.
        tagged = "tags" in (workflow[True].get("push") or {})
        for name, job in workflow["jobs"].items():
            pushes = [
                step["with"]["push"]
                for step in job["steps"]
                if step.get("uses", "").startswith("docker/build-push-action@")
            ]
            assert pushes in ([], [(path.stem, name) == ("release", "image")])
            assert (job["permissions"].get("packages") == "write") == (pushes == [True])
        assert tagged == (path.stem == "release")


def test_images_of_each_build_are_those_that_kubernetes_names() -> None:
    tags = {
        str(load_file(ROOT / f"deploy/{build}/kustomization.yaml")["images"][0]["newTag"])
        for build in ("cpu", "gpu")
    }
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    for name, job in (("release", "image"), ("image", "build")):
        matrix = load(name)["jobs"][job]["strategy"]["matrix"]["include"]
        assert {f"{version[1]}-{entry['build']}" for entry in matrix} == tags


def load_file(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_an_image_is_built_when_anything_of_it_changes() -> None:
    """Whatever `.dockerignore` lets in is in the filter."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line[1:] for line in lines if line.startswith("!")}
    sent = {f"{name}/**" if (ROOT / name).is_dir() else name for name in sent}
    filters = set(load("image")[True]["pull_request"]["paths"])
    assert filters == sent | {".dockerignore", ".github/workflows/image.yml", "docker/**"}


def test_the_promised_pythons_are_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = {
        name.rpartition(" ")[2] for name in project["classifiers"] if re.search(r":: 3\.\d+$", name)
    }
    assert set(load("ci")["jobs"]["test"]["strategy"]["matrix"]["python"]) == promised
    assert f">={min(promised, key=lambda v: int(v[2:]))}" == project["requires-python"]


def test_torch_is_the_build_for_cpus() -> None:
    for path in WORKFLOWS:
        if INSTALLS.search(path.read_text(encoding="utf-8")):
            assert load(path.stem)["env"]["TORCH_INDEX"].endswith("/whl/cpu"), path.name


def test_known_holes_are_looked_for_without_any_change() -> None:
    security = load("security")
    assert security[True]["schedule"]
    assert "make audit" in [step.get("run") for step in security["jobs"]["audit"]["steps"]]


def test_a_failed_setup_fails_no_comment() -> None:
    jobs = load("ci")["jobs"]
    steps = jobs["repro"]["steps"]
    late = [step for step in steps if "!cancelled()" in str(step.get("if"))]
    assert len(late) == 2
    assert all("steps.setup.outcome == 'success'" in step["if"] for step in late)
    assert [step.get("id") for step in steps if "make setup" in str(step.get("run"))] == ["setup"]
    assert "needs.repro.outputs.report == 'success'" in jobs["comment"]["if"]
    (upload,) = (step for step in steps if step.get("id") == "upload")
    assert "upload-artifact" in upload["uses"]


def test_what_tests_need_is_an_error_where_it_is_missing() -> None:
    """On a runner; elsewhere the end of the tests says what is skipped."""
    steps = load("ci")["jobs"]["test"]["steps"]
    (prepare,) = (step for step in steps if step.get("run") == ".ci/prepare")
    assert not prepare.get("continue-on-error")
    script = (ROOT / ".ci/prepare").read_text(encoding="utf-8")
    assert script.rstrip().endswith('exit "$missing"')
