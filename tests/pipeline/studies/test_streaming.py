from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.report.rows import Row, make_row
from pipeline.studies.streaming import __main__ as streaming


def times(power: float) -> list[Row]:
    return [
        make_row("int8", "stream_seconds", 0.5 * steps**power, "s", mode="m", steps=steps)
        for steps in (128, 256, 512)
    ]


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_slope_is_the_power_of_growth(power: float) -> None:
    slope, r_squared = streaming.fits(times(power))
    assert (slope["metric"], slope["mode"]) == ("slope", "m")
    assert slope["value"] == pytest.approx(power)
    straight = r_squared["value"] == pytest.approx(1.0)
    assert straight is (power == 1.0)


def test_every_mode_is_timed_and_an_exact_stream_is_the_whole(
    bundle_folder: Path, tmp_path: Path
) -> None:
    report = tmp_path / "streaming.json"
    options = ["--lengths", "16", "40", "64", "--rounds", "2", "--again-up-to", "40"]
    command = ["--bundle", str(bundle_folder), "--report", str(report), *options]
    assert streaming.main([*command, "--look-ahead", "2"]) == 0
    rows = json.loads(report.read_text(encoding="utf-8"))["rows"]
    timed = {(r["mode"], r["steps"]) for r in rows if r["metric"] == "stream_seconds"}
    always = {
        (mode, steps)
        for mode in (streaming.EXACT, streaming.SHORT, streaming.WHOLE)
        for steps in (16, 40, 64)
    }
    assert timed == always | {(streaming.AGAIN, 16), (streaming.AGAIN, 40)}
    errors = {(r["mode"], r["steps"]): r["value"] for r in rows if r["metric"] == "max_error"}
    assert all(errors[streaming.EXACT, steps] < 1e-4 for steps in (16, 40, 64))
    assert errors[streaming.SHORT, 64] > 1e-4
    assert {r["mode"] for r in rows if r["metric"] == "slope"} == {m for m, _ in timed}
    text = report.with_suffix(".md").read_text(encoding="utf-8")
    assert "slope" in text
    assert report.with_suffix(".png").stat().st_size > 1000


def test_one_length_is_refused(bundle_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert streaming.main(["--bundle", str(bundle_folder), "--lengths", "16"]) == 2
    assert "two or more" in capsys.readouterr().err
