"""The study of takes on a bundle whose takes are made to go wrong."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from chattts_onnx import Bundle, open_bundle
from pipeline.core.errors import BenchmarkError
from pipeline.report.rows import find, make_row
from pipeline.report.write import write_report
from pipeline.studies import takes

ABILITIES = {"domain": "Tests.", "languages": ["en"], "options": []}
TEXTS = ["hello world good morning", "one two three hello world"]


@pytest.fixture
def bundle(bundle_folder: Path) -> Bundle:
    return open_bundle(bundle_folder, threads=1)


@pytest.fixture
def trained(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """Takes of random weights are not watched."""
    described = {"abilities": ABILITIES, "kind": "local", "source": "folder:tests"}
    for key, value in described.items():
        monkeypatch.setitem(bundle.manifest.checkpoint, key, value)
    return bundle


@pytest.mark.parametrize("name", ["loop", "silence"])
def test_what_is_forced_is_caught_and_drawn_again(
    trained: Bundle, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(takes, "MOST_STEPS", 110)
    # A look that only sees loops: random weights end whenever they like.
    monkeypatch.setattr(takes, "_watch", lambda *_: takes.Watch())
    condition = next(c for c in takes.conditions(trained, 1) if c.name == name)
    rows = takes.measure(trained, TEXTS, None, 2, condition, 1)
    variant = str(rows[0]["variant"])
    found = {metric: find(rows, variant, metric) for metric in ("bad", "bad_caught", "still_bad")}
    assert {metric: row and row["value"] for metric, row in found.items()} == {
        "bad": 2, "bad_caught": 100.0, "still_bad": 0,
    }  # fmt: skip
    noticed = find(rows, variant, "noticed_at")
    assert noticed is not None and noticed["value"] > 47 * takes._step(trained)


def test_what_is_not_watched_is_not_measured(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bundle.manifest.checkpoint, "kind", "seeded_small")
    with pytest.raises(BenchmarkError, match="are not watched"):
        takes.measure(bundle, TEXTS, None, 2, takes.Condition("usual", {}), 1)


def test_what_the_watch_lets_pass_is_heard_and_drawn_again(
    trained: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takes, "_watch", lambda *_: takes.Watch())
    monkeypatch.setattr(takes, "level_fault", lambda *_: None)
    heard = iter([0.5, 0.0, 0.5, 0.0])
    check = SimpleNamespace(limit=0.3, errors=lambda *_: next(heard))
    condition = takes.Condition("half the words", {}, dropped=True)
    rows = takes.measure(trained, TEXTS, check, 3, condition, 1)  # type: ignore[arg-type]
    found = {row["metric"]: row["value"] for row in rows}
    # Both drop words; one is heard, drawn again, heard again and drawn a third time.
    assert (found["bad"], found["still_bad"]) == (2, 2)
    assert (found["heard_wrong"], found["still_bad_checked"]) == (50.0, 1)


def test_a_report_of_the_same_settings_is_gone_on_with(tmp_path: Path) -> None:
    context = {"takes": 3, "seed": 1, "listener": True, "bundle": "b", "commit": "c", "threads": 1}
    rows = [make_row("int8", "takes", 24, "", condition="usual")]
    path = tmp_path / "takes.json"
    assert takes.kept_rows(path, context, 24) == []
    write_report(path, context, rows)
    assert [row["condition"] for row in takes.kept_rows(path, context, 24)] == ["usual"]
    assert takes.kept_rows(path, context, 60) == []
    assert takes.kept_rows(path, context | {"commit": "other"}, 24) == []
