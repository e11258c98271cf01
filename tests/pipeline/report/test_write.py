from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from pipeline.report.rows import REQUIRED, make_row
from pipeline.report.write import (
    checkpoint_context,
    format_value,
    heading,
    render_markdown,
    report_context,
    write_report,
)

REPORTS = Path(__file__).resolve().parents[3] / "reports"
CHECKPOINT = {
    "name": "mini",
    "kind": "seeded",
    "source": "seed:1",
    "revision": "r",
    "files": {"asset/gpt/config.json": {"sha256": "ab", "bytes": 3}},
}


def test_json_and_markdown_of_one_name(tmp_path: Path) -> None:
    rows = [
        make_row("fp32", "rtf", 0.5, "s/s", batch=1, min=0.4, max=0.6, repeats=3),
        make_row("int8", "rtf", 0.25, "s/s", batch=1),
        make_row("fp32", "rtf", 2.0, "s/s", batch=4),
        make_row("fp32", "size_bytes", 123456, "B"),
    ]
    path = tmp_path / "reports" / "benchmark.json"
    write_report(path, {"machine": {"cpu": "x"}}, rows, title="Bench", sections=["## Mine\n\nhi"])
    assert json.loads(path.read_text()) == {"context": {"machine": {"cpu": "x"}}, "rows": rows}
    text = path.with_suffix(".md").read_text()
    assert text.startswith("# Bench\n")
    assert "## Mine" in text
    assert "## RTF, s/s\n\n| batch | fp32 | int8 |\n| --- | ---: | ---: |" in text
    assert "| 1 | 0.5 (0.4 … 0.6) | 0.25 |" in text
    assert "| 4 | 2 |  |" in text
    assert "## Of the whole\n\n|  | fp32 |\n| --- | ---: |\n| Size, kB | 123.5 |" in text
    assert sorted(p.name for p in path.parent.iterdir()) == ["benchmark.json", "benchmark.md"]


def test_numpy_values_and_non_finite_numbers_are_plain_json(tmp_path: Path) -> None:
    rows = [
        make_row("a", "m", np.float32(0.5), "u", n=np.int64(3), flag=np.bool_(True)),
        make_row("a", "m", math.nan, "u", n=4, flag=False),
        make_row("a", "m", math.inf, "u", n=5, flag=False),
    ]
    path = tmp_path / "r.json"
    write_report(path, {"folder": Path("a/b"), "shape": (1, 2)}, rows)
    report = json.loads(path.read_text())
    assert [row["value"] for row in report["rows"]] == [0.5, None, None]
    assert report["rows"][0]["n"] == 3
    assert report["rows"][0]["flag"] is True
    assert report["context"] == {"folder": "a/b", "shape": [1, 2]}


def test_a_row_without_a_unit_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lacks unit"):
        write_report(tmp_path / "r.json", {}, [{"variant": "a", "metric": "m", "value": 1}])
    assert not list(tmp_path.iterdir())


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        context = report_context(CHECKPOINT, "CPUExecutionProvider", threads=2)
        write_report(tmp_path / name / "r.json", context, [make_row("v", "m", 1.0, "u")])
    for suffix in ("json", "md"):
        first, second = (tmp_path / n / f"r.{suffix}" for n in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()


def test_context_says_what_it_was_measured_with() -> None:
    context = report_context(CHECKPOINT, ["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert context["checkpoint"]["sha256"] == {"asset/gpt/config.json": "ab"}
    assert context["checkpoint"]["weights"] == "random"
    assert context["machine"]["cores"] >= 1
    assert context["machine"]["memory_bytes"] > 1e8
    assert context["versions"]["numpy"] == np.__version__
    assert context["provider"] == ["CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.mark.parametrize(
    ("kind", "source", "random"),
    [("seeded", "seed:1", True), ("hub", "hub:me/seed-tts", False), ("", "seed:5", True)],
)
def test_only_seeded_weights_are_called_random(kind: str, source: str, random: bool) -> None:
    context = checkpoint_context({"name": "x", "kind": kind, "source": source})
    assert ("weights" in context) is random


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (math.nan, "–"), (1234567, "1,234,567"), (0.123456, "0.1235"), ("a|b", "a\\|b")],
)
def test_format_value(value: object, text: str) -> None:
    assert format_value(value) == text


def test_a_report_begins_with_its_verdict_and_ends_with_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    sections = ["**w4 is the fastest.**", "## Notes"]
    rows = [make_row("a", "m", 1.0, "s")]
    write_report(path, {"machine": {"cpu": "x"}}, rows, sections=sections, picture=True)
    text = path.with_suffix(".md").read_text()
    places = [
        "**w4",
        "![Speed](speed.png)",
        "## Notes",
        "## Of the whole",
        "| M, s | 1 |",
        "## Made on",
        "- machine",
    ]
    found = [text.index(place) for place in places]
    assert found == sorted(found)


def test_what_is_alike_in_all_rows_is_said_once() -> None:
    where = {"cases": 3, "provider": "CPU"}
    rows = [
        make_row("plain", "max_error", 1e-6, "", graph=graph, level=level, **where)
        for graph in ("gpt", "vocos")
        for level in ("basic", "all")
    ]
    text = render_markdown("Export", {}, rows)
    assert "## Max error\n\nAll with cases 3, provider CPU.\n\n| graph | level | plain |" in text
    assert "| --- | --- | ---: |" in text and "| vocos | all | 1e-06 |" in text


def test_rows_that_are_all_of_one_setting_keep_a_condition() -> None:
    rows = [make_row(v, "steps_per_second", 5.0, "1/s", batch=1, length=7) for v in "ab"]
    text = render_markdown("Speed", {}, rows)
    assert "All with batch 1.\n\n| length | a | b |\n| --- | ---: | ---: |\n| 7 | 5 | 5 |" in text


@pytest.mark.parametrize(
    ("metric", "unit", "shown"),
    [
        ("kl_divergence", "nat", "KL divergence, nat"),
        ("peak_memory_bytes", "MB", "Peak memory, MB"),
        ("first_audio_p99_seconds", "ms", "First audio P99, ms"),
        ("max_error", "", "Max error"),
        ("kept_fp32", "1", "Kept fp32"),
        ("nodes", "nodes", "Nodes"),
        ("steps_per_second", "1/s", "Steps per second"),
    ],
)
def test_headings_are_for_people(metric: str, unit: str, shown: str) -> None:
    assert heading(metric, unit) == shown


def test_no_kept_report_has_empty_brackets_for_a_unit() -> None:
    for path in REPORTS.rglob("*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        rows = found.get("rows") if isinstance(found, dict) else None
        if rows and REQUIRED[0] in rows[0]:
            text = render_markdown(path.stem, {}, rows)
            assert "()" not in text and "(1)" not in text, path
