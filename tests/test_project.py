"""What a project on GitHub has beside its code agrees with the rest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_commits_are_checked_by_the_tools_of_make_lint() -> None:
    (repository,) = load(".pre-commit-config.yaml")["repos"]
    hooks = {hook["entry"].replace(".venv/bin/", "") for hook in repository["hooks"]}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile[makefile.index("\nlint:") :].split("\n\n")[0]
    linted = re.findall(r"\$\(BIN\)/(.+)", recipe)
    assert {re.sub(r" (\.|\.github/workflows/\*\.yml)$", "", line) for line in linted} == hooks


def test_every_kind_of_pin_moves() -> None:
    updates = {
        entry["package-ecosystem"]: entry for entry in load(".github/dependabot.yml")["updates"]
    }
    assert set(updates) == {"github-actions", "docker", "docker-compose", "pip"}
    for entry in updates.values():
        assert (ROOT / entry["directory"].lstrip("/")).is_dir()
    # What bundles are made with goes by `pipeline.release.upgrade`, which knows conf/ too.
    left_out = {entry["dependency-name"] for entry in updates["pip"]["ignore"]}
    assert left_out == set(load("conf/tools/default.yaml")) | {"onnxruntime-gpu"}


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")))
def test_forms_have_what_github_wants(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"] and form["description"]
    assert [field["type"] for field in form["body"]]
    assert all(field["attributes"]["label"] for field in form["body"])


def test_owners_are_of_folders_that_there_are() -> None:
    lines = (ROOT / ".github/CODEOWNERS").read_text(encoding="utf-8").splitlines()
    paths = [line.split()[0] for line in lines if line and not line.startswith("#")]
    assert paths[0] == "*"
    assert all((ROOT / path.strip("/")).is_dir() for path in paths[1:])


def test_what_only_the_outside_shows_is_in_one_place() -> None:
    """The word stands where it is listed, and the list says what it is about."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    found = [p.relative_to(ROOT).as_posix() for p in pages if "unproven" in p.read_text("utf-8")]
    assert found == ["docs/how-to/elsewhere.md"]
    page = (ROOT / found[0]).read_text(encoding="utf-8")
    for subject in ("Actions", "Docker", "Kubernetes", "PyPI", "arm64", "3.14", "dependabot"):
        assert subject in page
