"""Which of the project's files a module imports, found without importing anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("pipeline", "chattts_onnx")


def imported_files(start: Path, root: Path, stop: frozenset[str]) -> set[str]:
    """Paths below ``root`` that ``start`` needs, directly or not; ``stop`` is not followed."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for path in _direct(waiting.pop(), root):
            name = path.relative_to(root).as_posix()
            if name not in found and name not in stop:
                found.add(name)
                waiting.append(path)
    return found


def _direct(path: Path, root: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(alias.name, root)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                submodule = list(_files(f"{node.module}.{alias.name}", root))
                yield from submodule or _files(node.module, root)


def _files(module: str, root: Path) -> Iterator[Path]:
    if module.partition(".")[0] not in PACKAGES:
        return
    path = root.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            yield candidate
