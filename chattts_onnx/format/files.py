"""Sizes and sha256 of a folder's files: written once, checked when a bundle is opened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import BundleError
from ..untrusted import brief, brief_text


@dataclass(frozen=True)
class FileInfo:
    """Hex sha256 and size in bytes of one file."""

    sha256: str
    bytes: int


def hash_file(path: Path) -> str:
    """Hex sha256 of a file, read in blocks so that memory does not grow with it."""
    with path.open("rb", buffering=0) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_files(root: Path, skip: str) -> dict[str, FileInfo]:
    """Every regular file under ``root`` but ``skip`` and hidden ones, by relative POSIX path."""
    found: dict[str, FileInfo] = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        hidden = any(part.startswith(".") for part in relative.parts)
        if hidden or not path.is_file() or relative.as_posix() == skip:
            continue
        inside(root, relative.as_posix())
        found[relative.as_posix()] = FileInfo(hash_file(path), path.stat().st_size)
    return found


def inside(root: Path, name: str) -> Path:
    """``root/name``, refusing absolute names, ``..`` and links that lead out of ``root``."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or not pure.parts:
        raise BundleError(f"{root}: the file name {brief(name)} leads outside the bundle; refused.")
    path = root / pure
    try:
        outside = not path.resolve().is_relative_to(root.resolve())
        # Links in a circle are RuntimeError, names that no disk takes ValueError or OSError.
        path.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise BundleError(f"{root}: {brief(name)} is no usable file name ({error}).") from error
    if outside:
        raise BundleError(
            f"{root}: {brief(name)} is a link that leads outside the bundle; refused."
        )
    return path


class VerifiedFiles:
    """Files that were compared with their hashes once, and are again where they changed since.

    A graph may be opened hours after its bundle.  A file that is written to, or replaced, has
    another time of change or number than when its hash was taken; nobody can set these.
    """

    def __init__(self, root: Path, files: Mapping[str, FileInfo]) -> None:
        self._root, self._files = root, files
        # Before the hashes, so that no change falls between.
        self._seen = {name: _stamp(inside(root, name)) for name in files}
        verify_files(root, files)

    def require(self, *names: str | None) -> None:
        """Raise :class:`BundleError` where one of these is not what the manifest says."""
        for name in names:
            if name is None:
                continue
            stamp = _stamp(inside(self._root, name))
            if stamp is None or stamp != self._seen[name]:
                verify_files(self._root, {name: self._files[name]})
                self._seen[name] = stamp


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def verify_files(root: Path, files: Mapping[str, FileInfo]) -> None:
    """Compare every file with its recorded size, then sha256; :class:`BundleError` names it."""
    paths = {name: inside(root, name) for name in files}
    for name, info in files.items():
        if not paths[name].is_file():
            raise BundleError(
                f"{root}: {brief_text(name)} is missing. Copy or build the bundle again."
            )
        size = paths[name].stat().st_size
        if size != info.bytes:
            raise BundleError(
                f"{root}: {brief_text(name)} has {size} bytes, expected {info.bytes}: truncated "
                "or replaced. "
                "Copy or build the bundle again."
            )
    for name, info in files.items():
        found = hash_file(paths[name])
        if found != info.sha256:
            raise BundleError(
                f"{root}: {brief_text(name)} has sha256 {found}, expected "
                f"{brief_text(info.sha256, 64)}: damaged or replaced. Copy or build the bundle "
                "again."
            )
