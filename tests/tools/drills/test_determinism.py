"""The drill that builds twice: a file that differs is named."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from chattts_onnx.format.manifest import Manifest
from tests.chattts_onnx import tiny_bundle
from tools.drills.attempts import Attempts
from tools.drills.determinism import compare
from tools.drills.project import cores_only

VARIANTS = ("fp32", "int8", "w8")


def test_a_file_that_differs_is_named(tmp_path: Path) -> None:
    first, second = tmp_path / "first/bundles", tmp_path / "second/bundles"
    tiny_bundle.build(first / VARIANTS[0])
    for name in VARIANTS[1:]:
        shutil.copytree(first / VARIANTS[0], first / name)
    shutil.copytree(first, second)
    changed = second / "int8"
    (changed / "tokenizer.json").write_bytes(b" " + (changed / "tokenizer.json").read_bytes())
    manifest = Manifest.load(changed, verify=False)
    replace(manifest, files={}).write(changed)
    attempts = Attempts("equal", "built twice", "files", area="determinism")
    compare(first.parent, second.parent, attempts)
    assert attempts.broken == ["int8/tokenizer.json differs"]
    row = attempts.row("python -m tools.drills.determinism")
    assert row.broken == 1 and row.count == len(VARIANTS) * len(manifest.files)
    assert "int8/tokenizer.json differs" in row.result


def test_cores_are_taken_and_given_back() -> None:
    before = os.sched_getaffinity(0)
    with cores_only(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before
