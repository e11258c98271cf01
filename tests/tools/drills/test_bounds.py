"""The drill over tests of bounds: what it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.drills import bounds

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("bound", bounds.BOUNDS, ids=lambda bound: bound.path)
def test_its_tests_are_there(bound: bounds.Bound) -> None:
    names = re.findall(r"^def (test_\w+)", (ROOT / bound.path).read_text(encoding="utf-8"), re.M)
    for part in filter(None, bound.names.split(" or ")):
        assert any(part in name for name in names), part
