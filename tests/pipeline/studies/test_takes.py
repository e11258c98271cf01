"""The study of takes on a bundle whose takes are made to go wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from chattts_onnx import Bundle, open_bundle
from pipeline.core.errors import BenchmarkError
from pipeline.report.rows import find
from pipeline.studies import takes

ABILITIES = {"domain": "Tests.", "languages": ["en"], "options": []}
TEXTS = ["hello world good morning", "one two three hello world"]


@pytest.fixture
def bundle(bundle_folder: Path) -> Bundle:
    return open_bundle(bundle_folder, threads=1)


@pytest.mark.parametrize("name", ["loop", "silence"])
def test_what_is_forced_is_caught_and_drawn_again(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    described = {"abilities": ABILITIES, "kind": "local", "source": "folder:tests"}
    for key, value in described.items():
        monkeypatch.setitem(bundle.manifest.checkpoint, key, value)
    monkeypatch.setattr(takes, "MOST_STEPS", 110)
    # A look that only sees loops: random weights end whenever they like.
    monkeypatch.setattr(takes, "_watch", lambda *_: takes.Watch())
    rows = takes.measure(bundle, TEXTS, None, 2, 1, [name])
    variant = str(rows[0]["variant"])
    found = {metric: find(rows, variant, metric) for metric in ("bad", "bad_caught", "still_bad")}
    assert {metric: row and row["value"] for metric, row in found.items()} == {
        "bad": 2, "bad_caught": 100.0, "still_bad": 0,
    }  # fmt: skip
    noticed = find(rows, variant, "noticed_at")
    assert noticed is not None and noticed["value"] > 47 * takes._step(bundle)


def test_what_is_not_watched_is_not_measured(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bundle.manifest.checkpoint, "kind", "seeded_small")
    with pytest.raises(BenchmarkError, match="are not watched"):
        takes.measure(bundle, TEXTS, None, 2, 1)
