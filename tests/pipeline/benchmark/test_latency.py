"""Start-up and normalisation are measured in processes of their own, against a budget."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.benchmark.latency import latency_section, measure_latency
from pipeline.benchmark.latency_probe import text_of
from pipeline.core.errors import BenchmarkError


def test_every_bundle_gets_rows(bundle_folder: Path) -> None:
    rows = measure_latency({"fp32": bundle_folder, "int8": bundle_folder}, 1, repeats=2)
    assert {row["variant"] for row in rows} == {"fp32", "int8"}
    for variant in ("fp32", "int8"):
        found = {
            row.get("until", row.get("characters")): row
            for row in rows
            if row["variant"] == variant
        }
        assert set(found) == {"opened", "ready", 60, 960}
        assert 0 < found["opened"]["value"] < found["ready"]["value"]
        assert 0 < found[60]["value"] < found[960]["value"]
        assert all(row["repeats"] == 2 and row["min"] <= row["max"] for row in found.values())
    assert "normalising 60 characters" in latency_section(rows)


def test_a_broken_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"(?s)start-up ended with status 1:.*manifest\.json"):
        measure_latency({"fp32": tmp_path}, 1, repeats=1)


def row(metric: str, value: float, **conditions: object) -> dict[str, object]:
    return {"variant": "fp32", "metric": metric, "value": value, "unit": "s", **conditions}


@pytest.mark.parametrize(
    ("ready", "long", "exceeded"),
    [(0.5, 0.016, 0), (2.0, 0.016, 1), (0.5, 0.064, 1), (2.0, 0.064, 2)],
)
def test_the_section_says_what_is_kept(ready: float, long: float, exceeded: int) -> None:
    rows = [
        row("startup_seconds", 0.4, until="opened"),
        row("startup_seconds", ready, until="ready"),
        row("normalize_seconds", 0.001, characters=60),
        row("normalize_seconds", long, characters=960),
    ]
    text = latency_section(rows)
    assert text.count("**exceeded**") == exceeded and text.count("| kept |") == 4 - exceeded


def test_texts_have_their_length() -> None:
    assert [len(text_of(n)) for n in (1, 60, 960)] == [1, 60, 960]
