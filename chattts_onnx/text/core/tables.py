"""The tables of the rules: what the files in ``data`` hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_DATA = Path(__file__).parents[1] / "data"


def rows(name: str) -> Iterator[list[str]]:
    """Cells of each row of ``data/<name>.tsv``, without blank lines and comments."""
    for line in (_DATA / f"{name}.tsv").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


def symbols(kind: str) -> dict[str, tuple[str, str]]:
    """Names of a kind in the table of symbols, each in Chinese and English."""
    found = [row for row in rows("symbols") if row[1] == kind]
    return {name: (zh, en) for _, _, names, zh, en in found for name in names.split()}
