from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.stages import tradeoff
from tests.pipeline.speech.test_tradeoff import SPEEDS
from tests.pipeline.stages.workspaces import smoke_params


def test_both_reports_are_read(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    rows = {"benchmark": SPEEDS, "speech": []}
    for name, content in rows.items():
        path = tmp_path / f"reports/{name}.json"
        path.write_text(json.dumps({"context": {}, "rows": content}))
    tradeoff.run(smoke_params(), tmp_path)
    assert "Random weights" in (tmp_path / "reports/tradeoff.md").read_text()
    assert (tmp_path / "reports/tradeoff.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_report_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"reports/speech\.json: found no report"):
        tradeoff.run(smoke_params(), tmp_path)
