"""The page of promises: made from the records, and current."""

from pathlib import Path

import pytest

from pipeline.core.errors import ConfigError
from tools.drills.page import PAGE, render
from tools.drills.record import Promise, read_records, write_record

ROOT = Path(__file__).parents[3]


def promise(area: str = "files", **changes: object) -> Promise:
    values = {
        "area": area, "promise": "no crash", "tried": "`python -m tools.drills.x`",
        "count": 120_000,
        "unit": "inputs", "broken": 0, "result": "named errors only",
    }  # fmt: skip
    return Promise(**{**values, **changes})  # type: ignore[arg-type]


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [promise(), promise("server", broken=2)]
    write_record("x", rows, tmp_path)
    assert read_records(tmp_path) == rows


def test_the_page_has_a_table_for_each_area() -> None:
    text = render([promise("server", result="a|b"), promise()])
    assert text.index("## Files") < text.index("## Server")
    assert "120,000 inputs" in text
    assert "a\\|b" in text


def test_tests_are_summed_over_modules() -> None:
    rows = [promise("tests", count=90, broken=1), promise("tests", count=10, broken=1)]
    assert "2 modules 2 of 100 mutants" in render(rows) and ": 2.0%" in render(rows)
    assert "mutants" not in render([promise()])


def test_no_record_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no record"):
        read_records(tmp_path)
    (tmp_path / "x.json").write_text('{"rows": [{"area": "files"}]}')
    with pytest.raises(ConfigError, match="promise"):
        read_records(tmp_path)


def test_the_committed_page_is_current() -> None:
    records = ROOT / "reports" / "reliability"
    if not any(records.glob("*.json")):
        pytest.skip("no drill has been recorded")
    assert (ROOT / PAGE).read_text(encoding="utf-8") == render(read_records(records)), (
        "stale: python -m tools.drills.page"
    )
