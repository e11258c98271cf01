"""Hashes of checkpoint files, ``checkpoint.json``, and the fingerprint of a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chattts_onnx.untrusted import brief_text, parse_json, read_limited
from pipeline.checkpoint import layout
from pipeline.core import atomic
from pipeline.core.errors import CheckpointError

BLOCK = 1 << 22
_MAX_RECORD_BYTES = 1 << 20
Progress = Callable[[int], None]


@dataclass(frozen=True)
class FileRecord:
    """Content of one file."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class CheckpointRecord:
    """``checkpoint.json``: what a bundle's manifest says about its weights.

    ``source`` is ``hub:<repo>``, ``folder:<name>`` or ``seed:<number>``; ``revision`` is the hub's
    commit, or the fingerprint of the files where there is no hub. ``sentences_apart`` and
    ``abilities`` are the configuration's.
    """

    name: str
    kind: str
    source: str
    revision: str
    license: str
    files: dict[str, FileRecord]
    sentences_apart: bool = False
    abilities: dict[str, Any] | None = None


def hash_file(path: Path, progress: Progress | None = None) -> FileRecord:
    """Return SHA-256 and size of a file; ``progress`` is called with the bytes of each block."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            size += len(block)
            if progress is not None:
                progress(len(block))
    return FileRecord(digest.hexdigest(), size)


def present_files(root: Path) -> list[str]:
    """Return the files of the layout that a checkpoint has, and its voices."""
    present = [name for name in layout.FILES if (root / name).is_file()]
    return present + layout.voice_files(root)


def hash_files(root: Path, progress: Progress | None = None) -> dict[str, FileRecord]:
    """Hash the files of the layout below ``root``, two at a time."""
    names = present_files(root)
    with ThreadPoolExecutor(2) as pool:
        records = pool.map(lambda name: hash_file(root / name, progress), names)
        return dict(zip(names, records, strict=True))


def combine(files: Mapping[str, FileRecord]) -> str:
    """Return one hash over names and contents, whatever their order."""
    lines = (f"{name} {files[name].sha256}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def fingerprint(folder: Path) -> str:
    """Return a hash over the contents of a checkpoint folder; other files in it do not count.

    Raises:
        CheckpointError: the folder is not there or holds no checkpoint.
    """
    return combine(hash_files(layout.find_root(folder.expanduser())))


def write_record(root: Path, record: CheckpointRecord) -> None:
    """Write ``checkpoint.json``."""
    atomic.write_json(root / layout.RECORD, asdict(record))


def read_record(root: Path) -> CheckpointRecord:
    """Read ``checkpoint.json``.

    Raises:
        CheckpointError: it is missing or not what :func:`write_record` writes.
    """
    path = root / layout.RECORD
    try:
        value: dict[str, Any] = parse_json(read_limited(path, _MAX_RECORD_BYTES))
        files = {name: FileRecord(**entry) for name, entry in value.pop("files").items()}
        return CheckpointRecord(**value, files=files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: found no readable record ({brief_text(error)}), expected what the "
            "checkpoint stage "
            "writes; run `dvc repro checkpoint`"
        ) from error
