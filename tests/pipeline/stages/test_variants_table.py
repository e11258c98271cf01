"""The table that ``dvc plots`` draws: its columns are those that ``dvc.yaml`` names."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import yaml

from pipeline.headline import HEADLINES
from pipeline.report.rows import make_row
from pipeline.stages.release import TABLE, variants_csv

ROOT = Path(__file__).resolve().parents[3]


def test_figures_stand_in_the_units_that_people_are_shown() -> None:
    rows = [
        make_row("int8", "size_bytes", 2_500_000, "B"),
        make_row("int8", "kl_divergence", 0.002, "nat", head="all"),
        make_row("w4", "rtf", 0.5, "s/s", batch=1),
        make_row("plain", "nodes", 5, "count"),
    ]
    table = list(csv.DictReader(io.StringIO(variants_csv(rows))))
    assert table == [
        {"variant": "int8", "size_mb": "2.5", "rtf": "", "kl_mnat": "2.0"},
        {"variant": "w4", "size_mb": "", "rtf": "0.5", "kl_mnat": ""},
    ]


def test_plots_name_columns_that_there_are() -> None:
    plots = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    assert plots
    for (plot,) in (entry.values() for entry in plots):
        assert plot["x"] in {metric.headline for metric in HEADLINES}
        assert plot["y"] == {str(TABLE): "variant"}
