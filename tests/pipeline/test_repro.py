"""Going on after DVC was killed while it wrote its own files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.core.errors import ConcurrencyError
from pipeline.repro import main, mend
from tests.pipeline.project import ROOT, commit, git
from tools.drills.project import environment

# More than the kernel gives out.
NOBODY = 2**22 + 1


def rwlock(pid: int = NOBODY) -> str:
    info = {"pid": pid, "cmd": "dvc repro"}
    return json.dumps({"write": {"/a/out": info}, "read": {"/a/in": [info]}})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A DVC project of one quick stage; its dvc.lock is committed."""
    place = tmp_path / "project"
    (place / ".dvc/tmp").mkdir(parents=True)
    (place / ".dvc/config").touch()
    (place / ".gitignore").write_text("/.dvc/tmp\n/.dvc/cache\n")
    stage = {"cmd": "echo made > out.txt", "outs": [{"out.txt": {"cache": False}}]}
    (place / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"write": stage}}))
    git(place, "init", "--quiet")
    assert reproduce(place).returncode == 0
    commit(place)
    return place


def reproduce(place: Path, module: str = "pipeline.repro") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module] + (["repro"] if module == "dvc" else [])
    variables = {**environment(place), "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=place, env=variables, capture_output=True, text=True)


def test_whole_files_stay_as_they_are(project: Path) -> None:
    path = project / ".dvc/tmp/rwlock"
    path.write_text(rwlock())
    before = (project / "dvc.lock").read_bytes()
    assert mend(project) == []
    assert path.read_text() == rwlock() and (project / "dvc.lock").read_bytes() == before


@pytest.mark.parametrize("length", range(0, len(rwlock()) - 1, 20))
def test_a_lock_cut_anywhere_is_removed(project: Path, length: int) -> None:
    path = project / ".dvc/tmp/rwlock"
    path.write_text(rwlock()[:length])
    assert len(mend(project)) == 1 and not path.exists()


def test_a_process_that_lives_is_not_robbed(project: Path) -> None:
    path = project / ".dvc/tmp/rwlock"
    sleeper = [sys.executable, "-c", "import sys; print(); sys.stdin.read()", "dvc", "repro"]
    with subprocess.Popen(sleeper, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        path.write_text(rwlock(process.pid)[:-5])
        with pytest.raises(ConcurrencyError, match=str(process.pid)):
            mend(project)
        assert path.exists()
        process.stdin.close()
    mend(project)
    # Another program may have got the number.
    path.write_text(rwlock(os.getppid())[:-5])
    if b"dvc" not in Path(f"/proc/{os.getppid()}/cmdline").read_bytes():
        assert len(mend(project)) == 1


def test_a_torn_dvc_lock_is_taken_from_git_or_made_anew(project: Path) -> None:
    path = project / "dvc.lock"
    whole = path.read_text()
    path.write_text(whole[:-30] + ": [")
    assert len(mend(project)) == 1 and path.read_text() == whole
    path.unlink()
    commit(project)
    path.write_text("schema: '2.0'\nstages: 3\n")
    assert len(mend(project)) == 1 and not path.exists()


def test_a_merge_is_left_to_people(project: Path) -> None:
    path = project / "dvc.lock"
    text = "<<<<<<< ours\nschema: '2.0'\n=======\nschema: '2.0'\n>>>>>>> theirs\n"
    path.write_text(text)
    assert mend(project) == [] and path.read_text() == text


@pytest.mark.slow
def test_the_command_goes_on_where_dvc_alone_would_not(project: Path) -> None:
    (project / ".dvc/tmp/rwlock").write_text(rwlock()[:-5])
    (project / "out.txt").unlink()
    assert "rwlock" in reproduce(project, "dvc").stderr
    done = reproduce(project)
    assert done.returncode == 0 and "cut it short" in done.stderr
    assert (project / "out.txt").read_text() == "made\n"


def test_errors_are_named_and_status_is_dvc_s(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    assert main(["no-such-stage"]) not in (0, 2)
    monkeypatch.setattr("pipeline.repro.mend", _at_work)
    assert main([]) == 2
    assert "ConcurrencyError: busy" in capfd.readouterr().err


def _at_work(path: Path) -> list[str]:
    raise ConcurrencyError("busy")
