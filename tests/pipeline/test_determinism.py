"""Two clean copies of the project build bundles of equal bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.pipeline.project import copy_project, dvc, marked
from tools.drills.attempts import Attempts
from tools.drills.determinism import building, compare
from tools.drills.project import cores_only


@marked
def test_bundles_depend_on_neither_folder_nor_threads(
    finished: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    other = copy_project(tmp_path / "another name")
    with cores_only(1):
        for name in building(other):
            dvc(other, "repro", "--single-item", name)
    attempts = Attempts("equal", "built twice", "files", area="determinism")
    compare(finished[0], other, attempts)
    assert attempts.broken == []
    # Weights, graphs and tokenizer of each.
    assert attempts.count > 10 * len(list((other / "bundles").iterdir()))
    shutil.rmtree(other)
