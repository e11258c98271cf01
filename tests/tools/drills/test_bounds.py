"""The drill over tests of bounds: what it counts, and that what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.drills import bounds

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("outcome", "count", "broken"), [((3, 0), 3, 0), ((2, 1), 3, 1), ((0, 0), 0, 1)]
)
def test_what_fails_or_is_not_there_is_broken(
    monkeypatch: pytest.MonkeyPatch, outcome: tuple[int, int], count: int, broken: int
) -> None:
    monkeypatch.setattr(bounds, "run_tests", lambda *_: outcome)
    row = bounds.BOUNDS[0].try_to_break()
    assert (row.count, row.broken) == (count, broken)


@pytest.mark.parametrize("bound", bounds.BOUNDS, ids=lambda bound: bound.path)
def test_its_tests_are_there(bound: bounds.Bound) -> None:
    names = re.findall(r"^def (test_\w+)", (ROOT / bound.path).read_text(encoding="utf-8"), re.M)
    for part in filter(None, bound.names.split(" or ")):
        assert any(part in name for name in names), part
