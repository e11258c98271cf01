"""Outputs are whole or absent, whatever stops a run and whoever runs beside it."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chattts_onnx import atomic_files
from pipeline.core import atomic
from pipeline.core.errors import ConcurrencyError, StorageError

WRITER = """
import sys
from pathlib import Path
from pipeline.core.atomic import write_bytes
for _ in range(40):
    write_bytes(Path(sys.argv[1]), sys.argv[2].encode() * 200_000)
"""


def test_a_folder_replaces_an_earlier_one_and_its_leftovers(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "old").touch()
    left = tmp_path / ".place.partial" / "below"
    left.mkdir(parents=True)
    (left / "half").touch()
    with atomic.output_directory(place) as scratch:
        assert not list(scratch.iterdir())
        (scratch / "new").touch()
    assert [path.name for path in place.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_an_earlier_folder_is_never_seen_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    for name in ("a", "b"):
        (place / name).touch()

    seen = []
    whole_removal = shutil.rmtree

    def removal(path: Path, **options: bool) -> None:
        seen.append(sorted(entry.name for entry in place.iterdir()) if place.exists() else None)
        whole_removal(path, **options)

    monkeypatch.setattr(shutil, "rmtree", removal)
    with atomic.output_directory(place) as scratch:
        (scratch / "c").touch()
    # What is removed is out of the way: a kill at that moment leaves one folder or the other.
    assert seen == [["a", "b"], ["c"]]


def test_an_error_leaves_the_earlier_folder(tmp_path: Path) -> None:
    place = tmp_path / "place"
    with atomic.output_directory(place) as scratch:
        (scratch / "old").touch()
    with pytest.raises(RuntimeError), atomic.output_directory(place):
        raise RuntimeError
    assert [path.name for path in place.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_two_runs_do_not_mix_in_one_folder(tmp_path: Path) -> None:
    place = tmp_path / "place"
    with atomic.output_directory(place) as scratch:
        (scratch / "mine").touch()
        with (
            pytest.raises(ConcurrencyError, match="another process"),
            atomic.output_directory(place),
        ):
            pass
        assert (scratch / "mine").exists()
    assert [path.name for path in place.iterdir()] == ["mine"]


def test_two_processes_do_not_mix_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), letter]) for letter in "ab"
    ]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            seen.add(path.read_bytes())
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {b"a" * 200_000, b"b" * 200_000}
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_what_is_renamed_is_on_the_disk_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    atomic.write_text(tmp_path / "file", "text")
    with atomic.output_directory(tmp_path / "folder") as scratch:
        (scratch / "sub").mkdir()
        (scratch / "sub/file").write_text("text")
    written = [tmp_path / name for name in ("file", "folder", "folder/sub", "folder/sub/file", ".")]
    assert {path.stat().st_ino for path in written} <= set(synced)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_cannot_be_written_is_named(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    atomic.write_text(path, "before")

    def sync(_: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(atomic_files, "sync", sync)
    with pytest.raises(StorageError, match=os.strerror(number)):
        atomic.write_text(path, "after")
    assert path.read_text() == "before"
    with pytest.raises(StorageError), atomic.output_directory(tmp_path / "folder"):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_write_that_numpy_cut_short_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="40 requested"), atomic.output_directory(tmp_path / "a"):
        raise OSError("40 requested and 32 written")


def test_another_error_of_the_system_is_no_storage_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic.output_directory(tmp_path / "folder"):
        (tmp_path / "missing").read_bytes()


def test_a_path_that_cannot_be_made_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "out", tmp_path / "file" / "deeper" / "out"):
        with pytest.raises(StorageError, match="expected a path that may be made"):
            atomic.write_text(place, "")
        named = pytest.raises(StorageError, match=str(tmp_path / "file"))
        with named, atomic.output_directory(place):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
