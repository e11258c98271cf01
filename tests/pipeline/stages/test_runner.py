"""What a stage's process says when it cannot go on."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from pipeline.config import Params
from pipeline.core.atomic import output_directory
from pipeline.stages._runner import stage_main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    return tmp_path


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (MemoryError("3 GiB that are not there"), "MemoryError: found 3 GiB that are not there"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "StorageError: "),
        (OSError(errno.EROFS, os.strerror(errno.EROFS)), "Read-only file system"),
    ],
)
def test_a_machine_without_room_is_said_in_one_line(
    raised: Exception, said: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(params: Params, folder: Path) -> None:
        with output_directory(folder / "out") as scratch:
            (scratch / "half").touch()
            raise raised

    with pytest.raises(SystemExit) as ended:
        stage_main("some", run)
    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert printed.startswith("some: ") and printed.count("\n") == 1 and said in printed
    assert [path.name for path in workspace.iterdir()] == ["params.yaml"]


def test_a_fault_of_the_pipeline_keeps_its_traceback(workspace: Path) -> None:
    def run(params: Params, folder: Path) -> None:
        raise OSError(errno.ENOENT, "gone")

    with pytest.raises(FileNotFoundError):
        stage_main("some", run)
