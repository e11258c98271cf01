"""Every file that is written is whole or absent: who writes otherwise says here why it may."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("chattts_onnx", "pipeline")

IN_A_SCRATCH_FOLDER = "its caller renames the folder when all is there"
IN_A_SCRATCH_FILE = "it renames the file itself when it is whole"
A_LOG = "lines are appended, and one that a kill cut off is left out"
ALLOWED = {
    "chattts_onnx/hearing/whisper_base.py": IN_A_SCRATCH_FILE,
    "chattts_onnx/archive/folder.py": IN_A_SCRATCH_FOLDER,
    "chattts_onnx/atomic_files.py": "it is the one who renames",
    "chattts_onnx/audio/sinks.py": IN_A_SCRATCH_FILE,
    "chattts_onnx/bulk/job.py": "the file of a lock",
    "chattts_onnx/bulk/shards.py": IN_A_SCRATCH_FILE,
    "chattts_onnx/serve/archive.py": IN_A_SCRATCH_FILE,
    "chattts_onnx/serve/upload.py": IN_A_SCRATCH_FOLDER,
    "chattts_onnx/voices/files.py": "a buffer in memory",
    "pipeline/core/atomic.py": "it is the one who renames",
    "pipeline/bundles.py": IN_A_SCRATCH_FOLDER,
    "pipeline/checkpoint/hub.py": IN_A_SCRATCH_FILE,
    "pipeline/checkpoint/local.py": IN_A_SCRATCH_FOLDER,
    "pipeline/checkpoint/seeded.py": IN_A_SCRATCH_FOLDER,
    "pipeline/export/common.py": IN_A_SCRATCH_FOLDER,
    "pipeline/optimize.py": IN_A_SCRATCH_FOLDER,
    "pipeline/studies/gpu/build.py": "a workspace that is removed afterwards",
    "pipeline/studies/gpu/runner.py": A_LOG,
    "pipeline/studies/load/__main__.py": "a method of that name, which renames",
    "pipeline/studies/load/users.py": A_LOG,
    "pipeline/fidelity/free.py": IN_A_SCRATCH_FOLDER,
    "pipeline/graphs/files.py": IN_A_SCRATCH_FOLDER,
    "pipeline/quantization/kv_cache.py": IN_A_SCRATCH_FOLDER,
    "pipeline/quantization/calibration/recordings_file.py": IN_A_SCRATCH_FOLDER,
    "pipeline/quantization/calibration/statistics.py": IN_A_SCRATCH_FOLDER,
    "pipeline/release/archive.py": IN_A_SCRATCH_FOLDER,
    "pipeline/release/triton/repository.py": IN_A_SCRATCH_FOLDER,
    "pipeline/release/wheel.py": IN_A_SCRATCH_FILE,
    "pipeline/search/journal.py": A_LOG,
    "pipeline/stages/fuse.py": IN_A_SCRATCH_FOLDER,
}
WRITERS = {
    "write_text", "write_bytes", "save", "savez", "savez_compressed", "save_file", "savefig",
    "copyfile", "copytree", "copy2", "touch",
}  # fmt: skip
MODES = {"w", "wb", "a", "ab", "x", "xb", "r+b", "w+b"}
# What these are called on writes in one rename, or into memory.
SAFE = {"atomic", "shelf", "buffer"}


def writes(path: Path) -> Iterator[int]:
    """Lines at which a file is written by other means than :mod:`pipeline.core.atomic`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, receiver = node.func.attr, ast.unparse(node.func.value)
        first = ast.unparse(node.args[0]) if node.args else ""
        if name in ("open", "ZipFile"):
            modes = [*node.args, *(keyword.value for keyword in node.keywords)]
            words = [part for mode in modes for part in ast.walk(mode)]
            if any(isinstance(w, ast.Constant) and w.value in MODES for w in words):
                yield node.lineno
        elif name in WRITERS and not {receiver, first} & SAFE:
            yield node.lineno


FOUND = {
    path.relative_to(ROOT).as_posix(): lines
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if (lines := list(writes(path)))
}


@pytest.mark.parametrize("path", FOUND)
def test_no_file_is_written_in_place(path: str) -> None:
    assert path in ALLOWED, f"lines {FOUND[path]}: write by pipeline.core.atomic, or say why not"


def test_no_exception_is_left_over() -> None:
    assert set(ALLOWED) <= set(FOUND)
