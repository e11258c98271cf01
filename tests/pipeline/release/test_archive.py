"""Archives have the same bytes wherever they are made, and what was put in comes out."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from chattts_onnx.archive.folder import check_archive, checked_parts, extract_archive
from chattts_onnx.errors import ArchiveError
from chattts_onnx.format.manifest import Manifest
from pipeline.core.errors import ReleaseError
from pipeline.release.archive import bundle_archive, folder_archive, joined_sha256, write_checksums

WHOLE = 1 << 31


@pytest.fixture
def bundle(bundle_folder: Path) -> Path:
    return bundle_folder


def test_equal_bundles_are_equal_bytes(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    for path in copy.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (1, 1))
    (copy / ".hidden").write_text("left behind by an editor")
    made = [
        bundle_archive(source, tmp_path / where / "a.tar", WHOLE)
        for source, where in ((bundle, "one"), (copy, "two"))
    ]
    assert made[0][0].read_bytes() == made[1][0].read_bytes()


def test_tar_reads_it_and_nothing_of_the_maker_is_in_it(bundle: Path, tmp_path: Path) -> None:
    (archive,) = bundle_archive(bundle, tmp_path / "tiny-1.tar", WHOLE)
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    assert members[0].name == "tiny-1/manifest.json"
    assert {member.name.removeprefix("tiny-1/") for member in members[1:]} == set(
        Manifest.load(bundle).files
    )
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {
        (0, 0, 0, "", "", 0o644)
    }
    subprocess.run(["tar", "-xf", archive.name], cwd=tmp_path, check=True)
    assert Manifest.load(tmp_path / "tiny-1").variant == Manifest.load(bundle).variant


def test_a_split_archive_is_the_whole_one(bundle: Path, tmp_path: Path) -> None:
    (whole,) = bundle_archive(bundle, tmp_path / "whole" / "a.tar", WHOLE)
    size = whole.stat().st_size
    parts = bundle_archive(bundle, tmp_path / "split" / "a.tar", size // 4 + 1)
    assert [part.name for part in parts] == ["a.tar.001", "a.tar.002", "a.tar.003", "a.tar.004"]
    assert b"".join(part.read_bytes() for part in parts) == whole.read_bytes()
    assert joined_sha256(parts) == joined_sha256([whole])
    assert sorted(p.name for p in (tmp_path / "split").iterdir()) == [p.name for p in parts]

    write_checksums(tmp_path / "split")
    subprocess.run(
        ["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=whole.parent.parent / "split", check=True
    )
    for named in ("a.tar", "a.tar.003"):
        assert checked_parts(tmp_path / "split" / named) == parts
    info = extract_archive(parts, tmp_path / "out")
    assert info.manifest == Manifest.load(tmp_path / "out")
    assert info == check_archive([whole])


def test_a_damaged_bundle_is_not_released(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    with (copy / "tokenizer.json").open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(Exception, match=r"tokenizer\.json has"):
        bundle_archive(copy, tmp_path / "a.tar", WHOLE)
    assert not (tmp_path / "a.tar").exists()


def test_a_folder_of_files_is_kept_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    (folder / "model" / "1").mkdir(parents=True)
    (folder / "model" / "config.pbtxt").write_text('name: "m"')
    (folder / "model" / "1" / "weights").write_bytes(b"\0" * 2000)
    parts = folder_archive(folder, tmp_path / "dist" / "triton.tar", WHOLE)
    info = extract_archive(parts, tmp_path / "out")
    assert (info.manifest, info.files) == (None, 3)
    assert (tmp_path / "out/model/1/weights").read_bytes() == b"\0" * 2000

    (folder / "link").symlink_to("model")
    with pytest.raises(ReleaseError, match="the link link"):
        folder_archive(folder, tmp_path / "b.tar", WHOLE)


def test_a_part_that_is_missing_is_named(bundle: Path, tmp_path: Path) -> None:
    parts = bundle_archive(bundle, tmp_path / "a.tar", 20_000)
    assert len(parts) > 2
    write_checksums(tmp_path)
    parts[1].unlink()
    with pytest.raises(ArchiveError, match=r"a\.tar\.002 not found"):
        checked_parts(tmp_path / "a.tar")
