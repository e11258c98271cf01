from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.report.measured import read_measured
from pipeline.report.rows import make_row
from pipeline.summary import main

VALIDATION = [
    make_row("int8", "top1_agreement", 0.25, "share", head="0"),
    make_row("int8", "top1_agreement", 0.9876, "share", head="all"),
    make_row("int8", "mel_l1", None, "neper"),  # type: ignore[arg-type]
]
BENCHMARK = [
    make_row("reference", "steps_per_second", 9.5, "1/s", batch=1),
    make_row("int8", "steps_per_second", 77.0, "1/s", batch=4),
    make_row("int8", "steps_per_second", 54.25, "1/s", batch=1),
    make_row("int8", "size_bytes", 2_500_000, "B"),
]
SPEECH = [
    make_row("int8", "word_error_rate", 4.26, "%", low=2.0),
    make_row("int8", "dnsmos_p808", 3.414, "MOS"),
]


def test_table_and_wav_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reports").mkdir()
    for name, rows in (("validation", VALIDATION), ("benchmark", BENCHMARK), ("speech", SPEECH)):
        text = json.dumps({"context": {}, "rows": rows})
        (tmp_path / f"reports/{name}.json").write_text(text)
    wav = tmp_path / "samples/int8/00.wav"
    wav.parent.mkdir(parents=True)
    wav.write_bytes(b"RIFF")
    (tmp_path / "listen.html").touch()
    monkeypatch.chdir(tmp_path)
    assert main() == 0
    printed = capsys.readouterr().out
    lines = {
        cells[0]: cells[1:]
        for line in printed.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("│").split("│")]) > 1
    }
    # what nobody measured has no column
    assert lines["reference"] == ["–", "9.5", "–", "–", "–"]
    assert lines["int8"] == ["2.5", "54.2", "98.76", "4.3", "3.41"]
    assert str(wav) in printed
    assert str(tmp_path / "listen.html") in printed


def test_speech_of_random_weights_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    for name in ("validation", "benchmark", "speech"):
        rows = SPEECH if name == "speech" else []
        text = json.dumps({"context": {"speaks": False}, "rows": rows})
        (tmp_path / f"reports/{name}.json").write_text(text)
    assert read_measured(tmp_path).rows == []


def test_missing_reports_are_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main() == 2
    assert "benchmark.json: found no report" in capsys.readouterr().err
