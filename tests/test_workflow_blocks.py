"""Every `run` block of the workflows, executed as a runner would: its shell, a clone of one commit.

What takes minutes or leaves this machine (make, docker, gh, uv, modules of the pipeline) is taken
down instead: a target has to exist, a module to be found.  The rest is the block's own work.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipeline.docs.stand_ins import make

ROOT = Path(__file__).resolve().parents[1]
# What GitHub fills in; a block that needs more is an error.
CONTEXT = {
    "github.event.pull_request.base.sha || github.event.before": "a" * 40,
    "github.event.pull_request.number": "7",
    "github.repository": "Owner/Name",
    "github.token": "token",
    "matrix.build": "gpu",
    "matrix.python != '3.11' && 'not slow' || ''": "not slow",
    "steps.name.outputs.image": "ghcr.io/owner/name",
    "steps.push.outputs.digest": f"sha256:{7:064d}",
    "vars.ALLOW_NON_COMMERCIAL": "yes",
}
RECORDED = ("make", "docker", "gh", "curl", "uv", "dvc", "pip", "python", "timeout")
# Modules that a step before installs on the runner.
INSTALLED_THERE = ("cibuildwheel",)
RECORD = """#!/bin/sh
printf '%s\\n' "$(basename "$0") $*" >> "$CALLS"
case "$(basename "$0") $*" in
    "dvc status") echo 'Data and pipelines are up to date.';;
    "dvc metrics"*) echo '| figure |';;
    "curl"*"--output"*) printf 'RIFF....' > hello.wav;;
    "docker inspect"*) echo 0;;
    *"-m pip wheel"*) mkdir -p wheels && touch wheels/chattts_onnx-0.1.0-py3-none-any.whl;;
esac
"""


def blocks() -> Iterator[Any]:
    """Every step with a `run`, by workflow, job and what it is called or runs first."""
    for path in sorted((ROOT / ".github/workflows").glob("*.yml")):
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        for job, value in workflow["jobs"].items():
            for step in (step for step in value["steps"] if "run" in step):
                name = step.get("name", step["run"].splitlines()[0])
                given = {**workflow.get("env", {}), **step.get("env", {})}
                shell = workflow["defaults"]["run"]["shell"]
                yield pytest.param((step["run"], given, shell), id=f"{path.stem}-{job}-{name}")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One commit, with what is changed here, and an environment that takes calls down."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git here")
    folder = tmp_path_factory.mktemp("runner") / "a clone 克隆"
    command = ["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(folder)]
    subprocess.run(command, check=True)
    listed = ["git", "ls-files", "--modified", "--others", "--exclude-standard", "-z"]
    changed = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True).stdout.split("\0")
    for name in filter(lambda name: (ROOT / name).is_file(), changed):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    tools = folder / ".venv/bin"
    tools.mkdir(parents=True)
    for name in RECORDED:
        (tools / name).write_text(RECORD)
        (tools / name).chmod(0o755)
    (tools / "activate").write_text("")
    owners = folder / ".github/CODEOWNERS"
    owners.write_text(owners.read_text(encoding="utf-8").replace("@OWNER/", "@acme/"))
    return folder


@pytest.fixture
def job(clone: Path, tmp_path: Path) -> Path:
    """The folder of a job: artifacts of the jobs before it lie in it."""
    for folder in ("dist", "wheels", "kubernetes-cpu"):
        shutil.rmtree(clone / folder, ignore_errors=True)
        (clone / folder).mkdir()
    (clone / "dist/README.md").write_text("the card\n")
    (clone / "dist/chattts_onnx_mini-0.1.0-py3-none-any.whl").touch()
    for name in ("chattts_onnx-0.1.0-py3-none-any", "chattts_onnx_mini-0.1.0-py3-none-any"):
        (clone / f"wheels/{name}.whl").touch()
    (clone / "kubernetes-cpu/kubernetes-cpu.yaml").touch()
    for folder in ("dist", "wheels"):
        sums = "sha256sum -- *.* > ../sums && mv ../sums SHA256SUMS"
        subprocess.run(["bash", "-c", sums], cwd=clone / folder, check=True)
    return clone


def run(block: tuple[str, dict[str, str], str], folder: Path, scratch: Path) -> list[str]:
    """What the block called; its outputs and summary are files in ``scratch``."""
    code, given, shell = block
    assert shell == "bash" and "${{" not in code
    names = {k: re.sub(r"\$\{\{ (.+?) \}\}", lambda m: CONTEXT[m[1]], v) for k, v in given.items()}
    (scratch / "block.sh").write_text(code)
    environment = {
        "PATH": f"{folder / '.venv/bin'}:/usr/local/bin:/usr/bin:/bin",
        "CALLS": str(scratch / "calls"),
        "GITHUB_OUTPUT": str(scratch / "output"),
        "GITHUB_STEP_SUMMARY": str(scratch / "summary"),
        "GITHUB_REPOSITORY": "Owner/Name",
        "GITHUB_REF_NAME": "v0.1.0",
        **names,
    }
    # As GitHub's documentation has it for `shell: bash`.
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(scratch / "block.sh")]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    calls = scratch / "calls"
    return calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []


@pytest.mark.parametrize("block", blocks())
def test_a_block_runs(block: tuple[str, dict[str, str], str], job: Path, tmp_path: Path) -> None:
    if called := re.search(r"^(\.ci/prepare|peer/install\.sh)$", block[0], re.MULTILINE):
        # They install packages; .ci/run calls the first.
        assert os.access(ROOT / called[1], os.X_OK)
        return
    if ".ci/manifests" in block[0] and shutil.which("kubectl") is None:
        pytest.skip("no kubectl here")
    for call in run(block, job, tmp_path):
        name, *arguments = call.split(" ")
        if name == "make":
            assert not make(arguments)
        if name == "python" and arguments[0] == "-m" and arguments[1] not in INSTALLED_THERE:
            assert importlib.util.find_spec(arguments[1]), arguments[1]


def test_no_release_while_changes_ask_nobody(job: Path, tmp_path: Path) -> None:
    owners = job / ".github/CODEOWNERS"
    named = owners.read_text(encoding="utf-8")
    owners.write_text(named + "/docs/ @OWNER/writers\n")
    try:
        with pytest.raises(AssertionError, match="put a team or user where OWNER stands"):
            run(block_of("Somebody is asked about changes"), job, tmp_path)
    finally:
        owners.write_text(named)


def block_of(name: str) -> tuple[str, dict[str, str], str]:
    (found,) = (b.values[0] for b in blocks() if str(b.id).endswith(name))
    return found


def test_the_image_is_named_after_repository_tag_and_build(job: Path, tmp_path: Path) -> None:
    run(block_of("Name the image"), job, tmp_path)
    assert (tmp_path / "output").read_text().splitlines() == [
        "image=ghcr.io/owner/name", "version=0.1.0", "tag=0.1.0-gpu"
    ]  # fmt: skip


def test_what_is_released_is_all_there_is_and_checked(job: Path, tmp_path: Path) -> None:
    (call,) = run(block_of("Upload"), job, tmp_path)
    assert call.startswith("gh release create v0.1.0 --verify-tag")
    for name in ("dist/SHA256SUMS", "wheels/chattts_onnx-", "kubernetes-cpu/kubernetes-cpu.yaml"):
        assert name in call
    # GitHub refuses two files of one name.
    files = [word.rpartition("/")[2] for word in call.split() if "/" in word]
    assert len(set(files) - {"SHA256SUMS"}) == len(files) - 1
    (job / "wheels/chattts_onnx-0.1.0-py3-none-any.whl").write_text("changed")
    with pytest.raises(AssertionError, match="FAILED"):
        run(block_of("Check once more what is uploaded"), job, tmp_path)


def test_wheels_are_published_by_the_locked_uv(job: Path, tmp_path: Path) -> None:
    calls = run(block_of("Publish without a token that could be stolen"), job, tmp_path)
    assert calls[0] == "python -m pip install --require-hashes --no-deps -r uv.txt"
    assert calls[1].startswith("uv publish --trusted-publishing always wheels/chattts_onnx-")
    lines = (job / "uv.txt").read_text().splitlines()
    assert lines[0].startswith("uv==") and not lines[-1].endswith("\\")
    assert sum("==" in line for line in lines) == 1


def test_the_report_is_written_whatever_the_figures_say(job: Path, tmp_path: Path) -> None:
    run(block_of("Write the report"), job, tmp_path)
    text = (tmp_path / "summary").read_text()
    assert text.startswith(f"## Figures against {'a' * 40}") and "| figure |" in text


def test_release_gates_come_with_their_flags(job: Path, tmp_path: Path) -> None:
    (call,) = run(block_of("May it go out?"), job, tmp_path)
    assert call.endswith("publish dist --tag v0.1.0 --allow-non-commercial")


def test_a_block_that_fails_would_be_seen(job: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run(("false | cat", {}, "bash"), job, tmp_path)
