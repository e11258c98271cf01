from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.report.rows import (
    conditions,
    find_value,
    make_row,
    read_report,
    select,
    variants_of,
)

ROWS = [
    make_row("fp32", "rtf", 0.5, "s/s", batch=1, min=0.4, max=0.6, repeats=3),
    make_row("int8", "rtf", 0.2, "s/s", batch=4),
    make_row("int8", "rtf", 0.3, "s/s", batch=1),
    {"variant": "int8", "metric": "mel_l1", "value": None, "unit": "ln"},
]


def test_rows_are_found_by_conditions_however_these_are_written() -> None:
    assert find_value(ROWS, "int8", "rtf", batch=1) == 0.3
    assert find_value(ROWS, "int8", "rtf", batch="1") == 0.3
    assert find_value(ROWS, "int8", "rtf") == 0.2
    assert find_value(ROWS, "int8", "rtf", length=1) is None
    assert find_value(ROWS, "int8", "mel_l1") is None
    assert [row["variant"] for row in select(ROWS, "rtf", batch=1)] == ["fp32", "int8"]
    assert len(select(ROWS, variant="int8")) == 3
    assert variants_of(ROWS) == ["fp32", "int8"]
    assert variants_of(ROWS, "mel_l1") == ["int8"]


def test_statistics_are_no_conditions() -> None:
    assert conditions(ROWS[0]) == {"batch": 1}


def test_a_report_is_read_and_a_missing_row_named(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"context": {"speaks": True}, "rows": ROWS}))
    report = read_report(path)
    assert report.context == {"speaks": True}
    assert report.value("fp32", "rtf", batch=1) == 0.5
    with pytest.raises(PipelineError, match=r"r\.json: found no row of .*'fp16'"):
        report.row("fp16", "rtf")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"context": {}, "rows": [{"value": 1}]}'])
def test_what_is_no_report_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(PipelineError, match=r"r\.json: found no report"):
        read_report(path)
