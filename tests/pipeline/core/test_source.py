from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pipeline.core import source
from pipeline.core.source import read_source


def test_a_commit_says_whether_files_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(read_source(tmp_path)) == "unknown"
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    (tmp_path / "a").write_text("1")
    for command in (["init", "-q"], ["add", "a"], [*identity, "commit", "-qm", "a"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    clean = str(read_source(tmp_path))
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert str(read_source(tmp_path)) == f"{clean}-dirty"

    (tmp_path / "archive/workspaces/mini").mkdir(parents=True)
    monkeypatch.setattr(source, "_TOP", tmp_path / "archive")
    assert str(read_source(tmp_path / "archive/workspaces/mini")) == "unknown"
    assert str(read_source(tmp_path)) == f"{clean}-dirty"
