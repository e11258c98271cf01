"""Release archives: checked to the last byte before anything is used.

An archive is an uncompressed USTAR file that ``tar`` reads: regular files only, all in one folder,
the index first.  The index of a bundle is its ``manifest.json``, that of any other folder a
``SHA256SUMS``; every other file must be named there, be as long and have the hash it says.  Nothing
is compressed, so nothing can grow while it is unpacked, and equal input gives equal bytes whatever
compressor a machine has.

:mod:`tarfile` parses single headers only: its own iteration follows extensions (links, sparse
files, PAX records of any size) that no archive of ours has and that are refused here by type.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from ..atomic_files import commit, sync_tree
from ..errors import ArchiveError, BundleError
from ..format.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest
from ..untrusted import brief, brief_text, parse_json
from .parts import JoinedParts
from .sums import SUMS_NAME, Sums, archive_name

_BLOCK = 1 << 20
_RECORD = tarfile.BLOCKSIZE
# In a folder that is being unpacked; no file of an archive has such a name.
_MARK = ".chattts-onnx"
_PLAIN_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._+-]*")


@dataclass(frozen=True)
class ArchiveInfo:
    """What a good archive holds.

    Attributes:
        root: name of its folder.
        files: number of files, the index included.
        bytes: their size together.
        manifest: of a bundle; None for another folder.
    """

    root: str
    files: int
    bytes: int
    manifest: Manifest | None


@dataclass(frozen=True)
class _Index:
    """Hash and (of a bundle) size of each file, by path inside the archive's folder."""

    name: str
    files: Mapping[str, tuple[str, int | None]]
    manifest: Manifest | None


def checked_parts(path: Path, pin: str | None = None) -> list[Path]:
    """The files of the archive at ``path``, each compared with ``SHA256SUMS`` beside it.

    ``path`` may be the archive, one of its parts, or the name it would have when joined.

    Raises:
        ArchiveError: there is no ``SHA256SUMS``, or a file is missing or differs.
    """
    sums = Sums.load(path.parent, pin)
    parts = [path.with_name(name) for name in sums.parts(archive_name(path.name))]
    for part in parts:
        sums.check(part)
    return parts


def check_archive(parts: Sequence[Path]) -> ArchiveInfo:
    """Read an archive to its end and compare every file with the index; nothing is written.

    Raises:
        ArchiveError: it is damaged, incomplete, or holds what no release archive holds.
    """
    return _walk(parts, None)


def extract_archive(parts: Sequence[Path], destination: Path) -> ArchiveInfo:
    """Unpack an archive into the new folder ``destination``, which appears only if all is good.

    Raises:
        ArchiveError: as :func:`check_archive`, or ``destination`` is there already, or the disk
            has no room.
    """
    if destination.exists() or destination.is_symlink():
        raise ArchiveError(f"{destination} is there already; remove it or name another folder.")
    destination.parent.mkdir(parents=True, exist_ok=True)
    _require_room(parts, destination.parent)
    scratch = _fresh_folder(destination.with_name(f".{destination.name}.partial"))
    try:
        info = _walk(parts, scratch)
        # The slow part, before the folder is without its mark.
        sync_tree(scratch)
        (scratch / _MARK).unlink()
        commit(scratch, destination)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return info


def _fresh_folder(scratch: Path) -> Path:
    """A new folder; what a killed run left of it is removed, what is anyone else's refused."""
    if scratch.is_symlink() or scratch.exists():
        if scratch.is_symlink() or not (scratch / _MARK).is_file():
            raise ArchiveError(f"{scratch} is in the way and no leftover of ours; move it.")
        shutil.rmtree(scratch)
    scratch.mkdir()
    (scratch / _MARK).touch()
    return scratch


def _walk(parts: Sequence[Path], folder: Path | None) -> ArchiveInfo:
    where = str(parts[0])
    with JoinedParts(parts) as stream:
        root, name, size = _required_header(stream, where)
        index, data = _read_index(stream, where, root, name, size)
        if folder is not None:
            (folder / name).write_bytes(data)
        seen, total = {name}, size
        while (header := _header(stream, where)) is not None:
            member_root, name, size = header
            if member_root != root or name not in index.files or name in seen:
                raise ArchiveError(
                    f"{where}: holds {member_root}/{name}, which {index.name} does not list once; "
                    "refused."
                )
            _copy(stream, where, name, size, index.files[name], folder)
            seen.add(name)
            total += size
        _require_end(stream, where)
    missing = sorted(index.files.keys() - seen)
    if missing:
        raise ArchiveError(
            f"{where}: {brief_text(missing[0])} is missing ({len(missing)} files). Get it again."
        )
    return ArchiveInfo(root, len(seen), total, index.manifest)


def _required_header(stream: JoinedParts, where: str) -> tuple[str, str, int]:
    header = _header(stream, where)
    if header is None or header[1] not in (MANIFEST_NAME, SUMS_NAME):
        raise ArchiveError(
            f"{where}: does not begin with {MANIFEST_NAME} or {SUMS_NAME}; it is none of ours."
        )
    return header


def _header(stream: JoinedParts, where: str) -> tuple[str, str, int] | None:
    """Folder, path inside it and size of the next file; None at the end mark."""
    record = stream.read(_RECORD)
    if record == bytes(_RECORD):
        return None
    try:
        # strict: a name that is no UTF-8 is refused
        info = tarfile.TarInfo.frombuf(record, "utf-8", "strict")
    except (tarfile.HeaderError, UnicodeError) as error:
        raise ArchiveError(f"{where}: no tar header where one is due ({error}).") from error
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise ArchiveError(
            f"{where}: {brief(info.name)} is a link, folder, device or extension (type "
            f"{info.type!r}); "
            "release archives hold regular files only. Refused."
        )
    parts = PurePosixPath(info.name).parts
    if info.size < 0 or len(parts) < 2 or str(PurePosixPath(info.name)) != info.name:
        raise ArchiveError(f"{where}: {brief(info.name)} is not a file in one folder; refused.")
    if not all(_PLAIN_PART.fullmatch(part) for part in parts):
        raise ArchiveError(f"{where}: {brief(info.name)} may lead outside of its folder; refused.")
    return parts[0], "/".join(parts[1:]), info.size


def _read_index(
    stream: JoinedParts, where: str, root: str, name: str, size: int
) -> tuple[Any, ...]:
    if size > MAX_MANIFEST_BYTES:
        raise ArchiveError(f"{where}: its {name} has {size} bytes; refused.")
    data = stream.read(size)
    _skip_padding(stream, where, size)
    if len(data) != size:
        raise ArchiveError(f"{where}: ends inside {name}: truncated. Get it again.")
    index = _manifest_index(data, where) if name == MANIFEST_NAME else _sums_index(data, where)
    _require_distinct(index.files, where)
    return index, data


def _manifest_index(data: bytes, where: str) -> _Index:
    try:
        manifest = Manifest.from_dict(parse_json(data), Path(where))
        manifest._check_graph_files(Path(where))
    except (ValueError, BundleError) as error:
        raise ArchiveError(
            f"{where}: its {MANIFEST_NAME} is unusable ({brief_text(error)})"
        ) from error
    files = {name: (info.sha256, info.bytes) for name, info in manifest.files.items()}
    return _Index(MANIFEST_NAME, files, manifest)


def _sums_index(data: bytes, where: str) -> _Index:
    files: dict[str, tuple[str, int | None]] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64 or name in files:
            raise ArchiveError(f"{where}: its {SUMS_NAME} has the line {line[:80]!r}; refused.")
        files[name] = (digest, None)
    return _Index(SUMS_NAME, files, None)


def _require_distinct(files: Mapping[str, object], where: str) -> None:
    """Refuse names that are one file, or file and folder, on a disk that ignores case."""
    folded = [name.casefold() for name in files]
    folders = {str(parent) for name in folded for parent in PurePosixPath(name).parents}
    if len(set(folded)) != len(folded) or folders & set(folded):
        raise ArchiveError(f"{where}: lists two files that are one on some disks; refused.")


def _copy(
    stream: JoinedParts,
    where: str,
    name: str,
    size: int,
    expected: tuple[str, int | None],
    folder: Path | None,
) -> None:
    """Read one file's bytes, write them below ``folder`` if given, compare size and hash."""
    sha256, listed = expected
    if listed is not None and size != listed:
        raise ArchiveError(f"{where}: {name} has {size} bytes, its manifest says {listed}.")
    digest, left = hashlib.sha256(), size
    with _sink(folder, name) as sink:
        while left:
            block = stream.read(min(left, _BLOCK))
            if not block:
                raise ArchiveError(f"{where}: ends inside {name}: truncated. Get it again.")
            digest.update(block)
            if sink is not None:
                sink.write(block)
            left -= len(block)
    _skip_padding(stream, where, size)
    if digest.hexdigest() != sha256:
        raise ArchiveError(f"{where}: {name} has another sha256 than its index says: damaged.")


@contextmanager
def _sink(folder: Path | None, name: str) -> Iterator[BinaryIO | None]:
    if folder is None:
        yield None
        return
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as sink:
        yield sink


def _skip_padding(stream: JoinedParts, where: str, size: int) -> None:
    padding = -size % _RECORD
    if stream.read(padding) != bytes(padding):
        raise ArchiveError(f"{where}: ends early or has bytes between files: damaged.")


def _require_end(stream: JoinedParts, where: str) -> None:
    """Nothing but the zeros that end a tar file may follow."""
    rest = stream.read(tarfile.RECORDSIZE + _RECORD)
    if len(rest) < _RECORD or len(rest) > tarfile.RECORDSIZE or rest.strip(b"\0"):
        raise ArchiveError(f"{where}: ends early or goes on after its end: damaged.")


def _require_room(parts: Sequence[Path], folder: Path) -> None:
    needed = sum(part.stat().st_size for part in parts)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ArchiveError(f"{folder}: {needed} bytes are needed, {free} are free on its disk.")
