from __future__ import annotations

import math
from pathlib import Path

import pytest

from pipeline.report.figure import (
    KNOWN,
    OTHERS,
    Panel,
    colour,
    draw_panels,
    three,
)
from pipeline.report.rows import make_row
from pipeline.report.write import shown_unit


def test_gaps_zeros_and_empty_panels_are_drawn(tmp_path: Path) -> None:
    rows = [
        make_row("a", "m", 0.0, "u", head="all"),
        make_row("b", "m", math.nan, "u", head="all"),
        make_row("b", "m", 0.5, "u", head="1"),
        make_row("c", "m", None, "u", head="1"),  # type: ignore[arg-type]
    ]
    panels = [Panel("log", rows, "head", log=True), Panel("none", []), Panel("plain", rows)]
    first, second = tmp_path / "a.png", tmp_path / "b.png"
    for path in (first, second):
        draw_panels(path, "t", panels)
    assert first.read_bytes().startswith(b"\x89PNG")
    assert first.read_bytes() == second.read_bytes()


def test_no_two_names_share_a_colour() -> None:
    colours = [*KNOWN.values(), *OTHERS]
    assert len(set(colours)) == len(colours)
    assert colour("int8", 0) == colour("int8", 3)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(2408.886, "2,409"), (0.0, "0.00"), (12.0, "12.0"), (0.98765, "0.988"), (math.nan, "")],
)
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert three(value) == shown


@pytest.mark.parametrize(
    ("largest", "unit", "shown"),
    [
        (2_408_886_272, "B", ("GB", "2.41")),
        (48_756_349, "B", ("MB", "48.8")),
        (0.0252, "s", ("ms", "25.2")),
        (6.7, "s", ("s", "6.70")),
        (0.0, "s", ("s", "0.00")),
    ],
)
def test_the_largest_value_chooses_the_unit(
    largest: float, unit: str, shown: tuple[str, str]
) -> None:
    found, factor = shown_unit([largest / 3, largest, math.nan], unit)
    assert (found, three(largest * factor)) == shown
