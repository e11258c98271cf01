"""Checkpoints from a folder, and the copying of files into the workspace."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

from chattts_onnx.errors import VoiceError
from chattts_onnx.voices.collection import VoiceShelf
from pipeline.checkpoint import layout
from pipeline.checkpoint.config import CheckpointConfig
from pipeline.checkpoint.dims import load_dims
from pipeline.checkpoint.record import FileRecord, combine, hash_file, present_files
from pipeline.checkpoint.tokenizer import check_tokenizer
from pipeline.core.errors import CheckpointError

BLOCK = 1 << 22
# linux/fs.h: share the blocks of another file, copying them when one of the two is written
FICLONE = 0x40049409
Progress = Callable[[int], None]


def verify(root: Path) -> None:
    """Check every tensor header, ``config.json``, the tokenizer and the voices of a checkpoint.

    Raises:
        CheckpointError: as :func:`pipeline.checkpoint.dims.load_dims` and
            :func:`pipeline.checkpoint.tokenizer.check_tokenizer`, or for a voice of another size.
    """
    dims = load_dims(root)
    check_tokenizer(root, dims.num_text_tokens)
    shelf = VoiceShelf(root / layout.VOICES, dims.hidden_size)
    try:
        for name in shelf.names:
            shelf.vector(name)
        _ = shelf.statistics
    except VoiceError as error:
        raise CheckpointError(f"{root / layout.VOICES}: {error}") from error


def place(source: Path, destination: Path, progress: Progress) -> None:
    """Copy a file, sharing its blocks where the file system can.

    No hard link: DVC makes the files that it caches read-only, and a later change of the user's
    file would change the cached one.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, destination.open("wb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), FICLONE, reader.fileno())
            progress(source.stat().st_size)
            return
        except OSError:
            # another file system, or one without shared blocks
            pass
        while block := reader.read(BLOCK):
            writer.write(block)
            progress(len(block))


def copied_bytes(config: CheckpointConfig) -> int:
    """Bytes that :func:`take_local` moves, for a progress bar: each file is copied and hashed."""
    root = local_root(config)
    return 2 * sum((root / name).stat().st_size for name in present_files(root))


def local_root(config: CheckpointConfig) -> Path:
    """Return the folder above ``asset/`` that ``checkpoint.path`` names."""
    return layout.find_root(Path(config.path or "").expanduser())


def take_local(
    config: CheckpointConfig, destination: Path, progress: Progress
) -> dict[str, FileRecord]:
    """Copy a folder in the official layout and return the hashes of the copies.

    Raises:
        CheckpointError: the folder is no sound checkpoint, or is not the one that
            ``checkpoint.fingerprint`` was computed from.
    """
    root = local_root(config)
    # before 1.2 GB are copied
    verify(root)
    records = {}
    for name in present_files(root):
        place(root / name, destination / name, progress)
        records[name] = hash_file(destination / name, progress)
    found = combine(records)
    if config.fingerprint and found != config.fingerprint:
        raise CheckpointError(
            f"{config.path}: found content {found[:16]}, expected {config.fingerprint[:16]} as "
            "params.yaml says; the folder has changed since, compose params.yaml again"
        )
    return records
