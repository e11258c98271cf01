"""Outputs that are whole or absent.

A stage that is killed must leave nothing that looks finished, so everything is written beside its
destination and renamed at the end.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def output_directory(destination: Path) -> Iterator[Path]:
    """Yield a scratch folder that becomes ``destination`` if the block succeeds.

    An earlier ``destination`` and the leftovers of killed runs are removed.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    scratch = destination.parent / f".{destination.name}.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    if destination.exists():
        shutil.rmtree(destination)
    scratch.replace(destination)


def write_bytes(destination: Path, data: bytes) -> None:
    """Write ``data`` to ``destination`` in one rename."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    scratch = destination.with_name(f".{destination.name}.partial")
    scratch.write_bytes(data)
    scratch.replace(destination)


def write_text(destination: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``destination`` in one rename."""
    write_bytes(destination, text.encode("utf-8"))


def write_json(destination: Path, value: Any) -> None:
    """Write ``value`` as indented JSON with a final newline, in one rename."""
    write_text(destination, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
