from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tools.drills import native
from tools.drills.native import SUMMARY, Build, builds, run

needs_compiler = pytest.mark.skipif(
    not (shutil.which("cmake") and shutil.which("c++")), reason="no CMake or no compiler"
)


def test_builds_cover_memory_and_threads() -> None:
    names = " ".join(build.name for build in builds())
    assert "AddressSanitizer" in names and "ThreadSanitizer" in names


def test_a_program_that_fails_breaks_the_promise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "fuzz"
    program.write_text("#!/bin/sh\necho seed 7: a position differs; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(native, "compile_program", lambda build, folder: program)
    row = run(Build("none"), 0, 7)
    assert row.broken == 1 and row.result == "seed 7: a position differs"
    program.write_text("#!/bin/sh\necho '2 models, 40 steps, every position as alone; avx2'\n")
    row = run(Build("none"), 0, 7)
    assert (row.broken, row.count, row.result) == (0, 40, "2 models; avx2")
    assert SUMMARY.search("nothing") is None


@needs_compiler
@pytest.mark.slow
def test_the_program_passes() -> None:
    assert run(Build("plain", ("-DCMAKE_BUILD_TYPE=Debug",)), 1, 3).broken == 0
