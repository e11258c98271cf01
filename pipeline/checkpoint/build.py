"""Bring a checkpoint of any kind into the workspace, checked and recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from pipeline.checkpoint.config import CheckpointConfig, SeededConfig
from pipeline.checkpoint.hub import fetched_bytes, take_hub
from pipeline.checkpoint.local import copied_bytes, local_root, take_local, verify
from pipeline.checkpoint.outliers import add_outliers
from pipeline.checkpoint.record import (
    CheckpointRecord,
    FileRecord,
    combine,
    hash_files,
    write_record,
)
from pipeline.checkpoint.seeded import planned_bytes, write_seeded
from pipeline.core.atomic import output_directory
from pipeline.core.errors import ConfigError

Advance = Callable[[int], None]


def build(config: CheckpointConfig, seed: int, destination: Path) -> CheckpointRecord:
    """Write a checkpoint in the official layout, and its ``checkpoint.json``.

    Args:
        config: which checkpoint.
        seed: of a seeded checkpoint; others ignore it.
        destination: replaced as a whole, or left alone if anything fails.

    Returns:
        What was written to ``checkpoint.json``.

    Raises:
        CheckpointError: a file is missing, damaged, not the pinned one, or not in the layout.
        ConfigError: the parameters do not name a source.
    """
    with output_directory(destination) as scratch, _progress() as bar:
        task = bar.add_task(f"checkpoint {config.name}", total=_total(config))

        def advance(amount: int) -> None:
            bar.advance(task, amount)

        files = _take(config, seed, scratch, advance)
        if config.outliers is not None:
            add_outliers(scratch, config.outliers, seed)
            files = hash_files(scratch)
        verify(scratch)
        record = CheckpointRecord(
            name=config.name,
            kind=config.kind,
            source=_source(config, seed),
            revision=config.revision or combine(files),
            license=config.license,
            files=files,
            sentences_apart=config.sentences_apart,
            abilities=asdict(config.abilities) if config.abilities else None,
        )
        write_record(scratch, record)
    return record


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    return Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)


def _total(config: CheckpointConfig) -> int:
    if config.kind == "hub":
        return fetched_bytes(config)
    if config.kind == "local":
        return copied_bytes(config)
    # drawn, then hashed
    return 2 * planned_bytes(_seeded(config))


def _take(
    config: CheckpointConfig, seed: int, scratch: Path, advance: Advance
) -> dict[str, FileRecord]:
    if config.kind == "hub":
        return take_hub(config, scratch, advance)
    if config.kind == "local":
        return take_local(config, scratch, advance)
    write_seeded(scratch, _seeded(config), seed, advance)
    return hash_files(scratch, advance)


def _source(config: CheckpointConfig, seed: int) -> str:
    if config.kind == "hub":
        return f"hub:{config.repo}"
    if config.kind == "local":
        # the folder's name only: a path says more about the machine than about the weights
        return f"folder:{local_root(config).resolve().name}"
    return f"seed:{seed}"


def _seeded(config: CheckpointConfig) -> SeededConfig:
    if config.seeded is None:
        raise ConfigError("checkpoint.seeded: found nothing, expected it for kind seeded")
    return config.seeded
