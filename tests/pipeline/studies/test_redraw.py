"""Pictures drawn again from reports."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.studies.redraw import main

REPORTS = Path(__file__).resolve().parents[3] / "reports"


@pytest.mark.parametrize("name", ["calibration_study", "search", "sensitivity", "thorough/speech"])
def test_a_picture_shows_the_rows(name: str, tmp_path: Path) -> None:
    """Far more ink than a heading alone, of rows of earlier code too."""
    report = tmp_path / Path(name).with_suffix(".json").name
    shutil.copy(REPORTS / f"{name}.json", report)
    assert main([str(report)]) == 0
    assert report.with_suffix(".png").stat().st_size > 25_000


def test_the_kept_table_of_takes_is_what_its_command_makes(tmp_path: Path) -> None:
    shutil.copy(REPORTS / "takes.json", tmp_path)
    assert main([str(tmp_path / "takes.json")]) == 0
    assert (tmp_path / "takes.md").read_bytes() == (REPORTS / "takes.md").read_bytes()


def test_a_report_without_a_picture_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "load.json")]) == 2
    assert "expected a report of one of these" in capsys.readouterr().err
