"""Runs that bundles come from are the same on every machine."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest

from pipeline.graphs.probe import THREADS, open_model
from tools.drills.project import cores_only


@pytest.mark.parametrize("cores", [1, None])
def test_threads_do_not_go_by_the_machine(cores: int | None, vocos_path: Path) -> None:
    with cores_only(cores):
        session = open_model(ir.load(vocos_path), vocos_path.parent)
    assert session.get_session_options().intra_op_num_threads == THREADS
