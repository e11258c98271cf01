"""Fronts, studies and what they conclude."""

from __future__ import annotations

from pathlib import Path

from pipeline.report.rows import make_row
from pipeline.search.search_report import candidates, draw_front, front
from pipeline.studies.calibration import enough, sizes, subsets


def test_front() -> None:
    """Only what no other point beats in both."""
    points = [(3.0, 1.0), (1.0, 3.0), (2.0, 2.0), (2.5, 2.5), (4.0, 1.0), (1.0, 4.0)]
    assert front(points) == [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]


def test_picture(tmp_path: Path) -> None:
    """The same entries give the same bytes; one-layer measurements are no candidates."""
    row = {"variant": "int8", "metric": "kl_divergence", "value": 0.1, "unit": "nat"}
    entries = [
        {"component": "gpt", "step": "start", "cost": 1.0, "rows": [row]},
        {"component": "gpt", "step": "all", "cost": 2.0, "rows": [{**row, "value": 0.01}]},
    ]
    speeds = [make_row("int8", "steps_per_second", 40.0, "1/s", candidate="fp32")]
    draw_front(tmp_path / "a.png", candidates(entries), speeds)
    ignored = {"component": "gpt", "step": "only x", "cost": 9.0, "rows": [row]}
    draw_front(tmp_path / "b.png", candidates([*entries, ignored]), speeds)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_draws_of_samples() -> None:
    """Repeatable, without replacement; all of them in one way only."""
    assert sizes(24) == [1, 2, 4, 8, 16, 24]
    assert list(subsets(24, 4, 1)) == list(subsets(24, 4, 1))
    assert all(len(set(chosen)) == 4 for chosen in subsets(24, 4, 1))
    assert list(subsets(5, 5, 1)) == [[0, 1, 2, 3, 4]]


def test_enough_means_that_no_later_number_is_worse() -> None:
    """A lucky small draw does not count."""
    assert enough({1: [1.0], 2: [0.99], 4: [1.5], 8: [1.02], 16: [1.0]}) == 8
