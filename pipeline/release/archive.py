"""Folders as archives whose bytes depend on their content alone.

Plain USTAR, no compression: gzip would make the bundles some 20 % smaller, but its bytes differ
between versions and builds of zlib, so that nobody could check a release by building it again.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from chattts_onnx.archive.sums import SUMS_NAME
from chattts_onnx.format.files import hash_file
from chattts_onnx.format.manifest import MANIFEST_NAME, Manifest
from pipeline.core.atomic import write_text
from pipeline.core.errors import ReleaseError

_MODE = 0o644
# A value of ustar's size field, 11 octal digits.
_LARGEST = 8**11 - 1


def bundle_archive(bundle: Path, destination: Path, part_bytes: int) -> list[Path]:
    """Write a bundle as ``destination`` (a ``.tar``), the manifest first; return its files.

    The bundle's files are compared with the manifest first, and nothing else goes in.  An archive
    of more than ``part_bytes`` becomes parts ``.001``, ``.002``, … of that size.

    Raises:
        BundleError: the bundle is missing or damaged.
        ReleaseError: a name or a size does not fit into the format.
    """
    manifest = Manifest.load(bundle)
    names = [MANIFEST_NAME, *sorted(manifest.files)]
    return _write(bundle, names, destination, part_bytes)


def folder_archive(folder: Path, destination: Path, part_bytes: int) -> list[Path]:
    """Write any folder's regular files, an index ``SHA256SUMS`` first; return the archive's files.

    Raises:
        ReleaseError: the folder is empty or has links, or a name does not fit into the format.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = [path.relative_to(folder).as_posix() for path in paths]
    links = [name for name, path in zip(names, paths, strict=True) if path.is_symlink()]
    if links or not names or SUMS_NAME in names:
        found = f"the link {links[0]}" if links else "no files" if not names else SUMS_NAME
        raise ReleaseError(f"{folder}: found {found}, expected a folder of files without it.")
    lines = [f"{hash_file(path)}  {name}\n" for name, path in zip(names, paths, strict=True)]
    index = "".join(lines).encode("utf-8")
    return _write(folder, names, destination, part_bytes, index)


def checksums(paths: Iterable[Path]) -> str:
    """The text of ``SHA256SUMS`` for files of one folder, by name, as ``sha256sum`` writes it."""
    return "".join(
        f"{hash_file(path)}  {path.name}\n" for path in sorted(paths, key=lambda p: p.name)
    )


def joined_sha256(parts: Iterable[Path]) -> str:
    """Hex sha256 of the archive that the parts make up."""
    digest = hashlib.sha256()
    for part in parts:
        with part.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _write(
    folder: Path, names: list[str], destination: Path, part_bytes: int, index: bytes | None = None
) -> list[Path]:
    destination.parent.mkdir(parents=True, exist_ok=True)
    root = destination.name.removesuffix(".tar")
    scratch = destination.with_name(f".{destination.name}.partial")
    with scratch.open("wb") as sink:
        if index is not None:
            _add_header(sink, f"{root}/{SUMS_NAME}", len(index))
            sink.write(index)
            _pad(sink, len(index))
        for name in names:
            size = (folder / name).stat().st_size
            _add_header(sink, f"{root}/{name}", size)
            with (folder / name).open("rb") as source:
                shutil.copyfileobj(source, sink, 1 << 20)
            _pad(sink, size)
        sink.write(bytes(2 * tarfile.BLOCKSIZE))
    return _split(scratch, destination, part_bytes)


def _add_header(sink: BinaryIO, name: str, size: int) -> None:
    info = tarfile.TarInfo(name)
    # Everything else stays at TarInfo's zeros: time, owner, group.
    info.size, info.mode = size, _MODE
    if size > _LARGEST:
        raise ReleaseError(f"{name}: has {size} bytes, a tar file holds at most {_LARGEST}.")
    try:
        sink.write(info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict"))
    except (ValueError, UnicodeError) as error:
        raise ReleaseError(f"{name}: the name does not fit into a tar file ({error}).") from error


def _pad(sink: BinaryIO, size: int) -> None:
    sink.write(bytes(-size % tarfile.BLOCKSIZE))


def _split(scratch: Path, destination: Path, part_bytes: int) -> list[Path]:
    """Give the finished archive its name, or those of its parts."""
    size = scratch.stat().st_size
    if size <= part_bytes:
        scratch.replace(destination)
        return [destination]
    count = -(-size // part_bytes)
    if count > 999:
        raise ReleaseError(f"{destination}: {count} parts; make release.part_bytes larger.")
    parts = []
    with scratch.open("rb") as source:
        for number in range(1, count + 1):
            part = destination.with_name(f"{destination.name}.{number:03}")
            with part.open("wb") as sink:
                left = part_bytes
                while left and (block := source.read(min(left, 1 << 20))):
                    sink.write(block)
                    left -= len(block)
            parts.append(part)
    scratch.unlink()
    return parts


def write_checksums(folder: Path) -> Path:
    """Write ``SHA256SUMS`` of all other files of ``folder``; return its path."""
    path = folder / SUMS_NAME
    files = [entry for entry in folder.iterdir() if entry.is_file() and entry != path]
    write_text(path, checksums(files))
    return path
