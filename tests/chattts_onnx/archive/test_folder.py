"""What a release archive may not hold is refused, and leaves nothing behind."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from chattts_onnx import cli
from chattts_onnx.archive.folder import check_archive, checked_parts, extract_archive
from chattts_onnx.archive.sums import Sums
from chattts_onnx.errors import ArchiveError
from chattts_onnx.format.manifest import MANIFEST_NAME, Manifest

Edit = Callable[[list[tuple[tarfile.TarInfo, bytes]]], object]


def pack(bundle: Path, archive: Path, edit: Edit = lambda members: None) -> Path:
    """The bundle as an archive, its members changed by ``edit``, with ``SHA256SUMS`` beside it."""
    names = [MANIFEST_NAME, *sorted(Manifest.load(bundle).files)]
    members = [member(f"a/{name}", (bundle / name).read_bytes()) for name in names]
    edit(members)
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    write_sums(archive)
    return archive


def member(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    return info, data


def write_sums(*archives: Path) -> None:
    lines = [f"{hashlib.sha256(a.read_bytes()).hexdigest()}  {a.name}\n" for a in archives]
    (archives[0].parent / "SHA256SUMS").write_text("".join(lines))


def link(name: str, target: str, kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
    info, _ = member(name, kind=kind)
    info.linkname = target
    return info, b""


def edited_manifest(change: Callable[[dict[str, object]], object]) -> Edit:
    def edit(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        value = json.loads(members[0][1])
        change(value)
        members[0] = member("a/manifest.json", json.dumps(value).encode())

    return edit


def grown(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    name, data = members[1][0].name, members[1][1]
    members[1] = member(name, data + b"\0")


def changed(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    name, data = members[1][0].name, members[1][1]
    members[1] = member(name, bytes([data[0] ^ 1]) + data[1:])


UNSAFE: dict[str, tuple[Edit, str]] = {
    "parent": (lambda m: m.append(member("a/../../evil")), "outside of its folder"),
    "absolute": (lambda m: m.append(member("/etc/evil")), "outside of its folder|not a file in"),
    "hidden": (lambda m: m.append(member("a/.bashrc")), "outside of its folder"),
    "backslash": (lambda m: m.append(member("a/..\\evil")), "outside of its folder"),
    "other root": (lambda m: m.append(member("b/gpt.onnx")), "does not list once"),
    "no name": (lambda m: m.append(member("")), "not a file in one folder"),
    "dot": (lambda m: m.append(member(".")), "not a file in one folder"),
    "nested index": (
        lambda m: m.insert(0, member("a/manifest.json", b"[" * 100_000)), "nested too deeply"
    ),
    "no folder": (lambda m: m.append(member("evil")), "not a file in one folder"),
    "symbolic link": (lambda m: m.append(link("a/x", "/etc/passwd", tarfile.SYMTYPE)), "is a link"),
    "hard link": (lambda m: m.append(link("a/x", "a/gpt.onnx", tarfile.LNKTYPE)), "is a link"),
    "folder": (lambda m: m.append(member("a/x", kind=tarfile.DIRTYPE)), "is a link, folder"),
    "device": (lambda m: m.append(member("a/x", kind=tarfile.CHRTYPE)), "is a link, folder, dev"),
    "extension": (lambda m: m.append(member("a/" + "x" * 300)), "extension"),
    "unlisted": (lambda m: m.append(member("a/extra", b"1")), "does not list once"),
    "twice": (lambda m: m.append(m[1]), "does not list once"),
    "missing": (lambda m: m.pop(), "is missing"),
    "no index": (lambda m: m.pop(0), "does not begin with"),
    "longer": (grown, "its manifest says"),
    "changed": (changed, "another sha256"),
    "large index": (
        lambda m: m.insert(0, member("a/manifest.json", b" " * (17 << 20))), "17825792 bytes"
    ),
    "format": (edited_manifest(lambda v: v.update(format_version=99)), "format_version is 99"),
    "listed outside": (
        edited_manifest(lambda v: v["files"].update({"../x": {"sha256": "0" * 64, "bytes": 0}})),  # type: ignore[attr-defined]
        "is missing",
    ),
    "one on some disks": (
        edited_manifest(lambda v: v["files"].update({"GPT.onnx": {"sha256": "0", "bytes": 0}})),  # type: ignore[attr-defined]
        "one on some disks",
    ),
    "file and folder": (
        edited_manifest(lambda v: v["files"].update({"gpt.onnx/x": {"sha256": "0", "bytes": 0}})),  # type: ignore[attr-defined]
        "one on some disks",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSAFE)
def test_what_is_unsafe_or_damaged_is_refused(bundle_path: Path, tmp_path: Path, case: str) -> None:
    edit, message = UNSAFE[case]
    archive = pack(bundle_path, tmp_path / "a.tar", edit)
    with pytest.raises(ArchiveError, match=message):
        check_archive([archive])
    with pytest.raises(ArchiveError, match=message):
        extract_archive([archive], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SHA256SUMS", "a.tar"]


def test_every_truncation_is_noticed(bundle_path: Path, tmp_path: Path) -> None:
    data = pack(bundle_path, tmp_path / "a.tar").read_bytes()
    end = len(data.rstrip(b"\0"))
    for length in {0, 100, 512, 700, 5_000, end // 2, end - 1, end + 1, end + 600}:
        (tmp_path / "b.tar").write_bytes(data[:length])
        with pytest.raises(ArchiveError, match=r"no tar header|truncated|ends early"):
            check_archive([tmp_path / "b.tar"])


def test_bytes_after_the_end_are_refused(bundle_path: Path, tmp_path: Path) -> None:
    archive = pack(bundle_path, tmp_path / "a.tar")
    with archive.open("ab") as stream:
        stream.write(b"PK\3\4")
    with pytest.raises(ArchiveError, match="goes on after its end"):
        check_archive([archive])


@pytest.mark.parametrize("rest", [b"\0" * tarfile.RECORDSIZE, b"\0" * 511 + b"x"])
def test_nothing_but_one_end_may_follow(bundle_path: Path, tmp_path: Path, rest: bytes) -> None:
    archive = pack(bundle_path, tmp_path / "a.tar")
    data = archive.read_bytes()
    end = len(data.rstrip(b"\0"))
    end += -end % 512
    archive.write_bytes(data[:end] + b"\0" * 1024 + rest)
    with pytest.raises(ArchiveError, match="goes on after its end"):
        check_archive([archive])
    archive.write_bytes(data[:end] + b"\0" * 1024)
    check_archive([archive])


def test_a_disk_without_room_is_told_before_anything_is_written(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = pack(bundle_path, tmp_path / "a.tar")
    size = archive.stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=size - 1))
    with pytest.raises(ArchiveError, match=f"{size} bytes are needed, {size - 1} are free"):
        extract_archive([archive], tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SHA256SUMS", "a.tar"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=size))
    extract_archive([archive], tmp_path / "out")


def test_what_is_good_is_unpacked_once(bundle_path: Path, tmp_path: Path) -> None:
    archive = pack(bundle_path, tmp_path / "a.tar")
    info = extract_archive(checked_parts(archive), tmp_path / "new" / "out")
    assert info.manifest == Manifest.load(tmp_path / "new" / "out")
    with pytest.raises(ArchiveError, match="is there already"):
        extract_archive([archive], tmp_path / "new" / "out")


def test_sums_are_checked_before_the_archive(bundle_path: Path, tmp_path: Path) -> None:
    archive = pack(bundle_path, tmp_path / "a.tar")
    data = bytearray(archive.read_bytes())
    data[-1] = 1
    archive.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"a\.tar: has sha256"):
        checked_parts(archive)
    (tmp_path / "SHA256SUMS").unlink()
    with pytest.raises(ArchiveError, match="SHA256SUMS not found"):
        checked_parts(archive)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0" * 63 + "  a.tar\n", "line 1"),
        ("0" * 64 + "  ../a.tar\n", "line 1"),
        ("0" * 64 + "  dir/a.tar\n", "line 1"),
        ("0" * 64 + "  a.tar\n" + "1" * 64 + "  a.tar\n", "line 2"),
        ("<html>", "line 1"),
    ],
)
def test_strange_sums_are_refused(text: str, message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        Sums.parse(text.encode(), "SHA256SUMS")


def test_parts_have_to_be_listed_without_a_gap() -> None:
    digest = "0" * 64
    names = ["x-int8.tar.001", "x-int8.tar.003", "x-w8.tar", "x-model-card.md"]
    sums = Sums(dict.fromkeys(names, digest))
    assert sums.archives() == ["x-int8.tar", "x-w8.tar"]
    assert sums.choose("w8") == "x-w8.tar"
    with pytest.raises(ArchiveError, match=r"not x-int8\.tar\.002"):
        sums.parts("x-int8.tar")
    with pytest.raises(ArchiveError, match="several archives"):
        sums.choose(None)
    with pytest.raises(ArchiveError, match="no archive of 'w4'"):
        sums.choose("w4")


def test_the_command_says_what_it_checked(
    bundle_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = pack(bundle_path, tmp_path / "a.tar")
    assert cli.main(["verify", str(tmp_path), str(archive), str(bundle_path)]) == 0
    assert capsys.readouterr().out.count("all as listed") == 3
    assert cli.main(["verify", str(archive), "--pin", "0" * 64]) == 2
    assert "SHA256SUMS: has sha256" in capsys.readouterr().err
    (tmp_path / "SHA256SUMS").unlink()
    assert cli.main(["verify", str(archive)]) == 2
    assert cli.main(["verify", str(archive), "--no-sums"]) == 0
    assert cli.main(["verify", str(tmp_path / "other.tar"), "--no-sums"]) == 2


def test_thousands_of_names_make_no_endless_message() -> None:
    lines = "".join(f"{'a' * 64}  {i:04}{'x' * 200}.tar.{i % 1000:03}\n" for i in range(2000))
    sums = Sums.parse(lines.encode(), "SHA256SUMS")
    for call in (lambda: sums.choose("int8"), lambda: sums.parts("y" * 9000)):
        with pytest.raises(ArchiveError) as caught:
            call()
        assert len(str(caught.value)) < 1000
