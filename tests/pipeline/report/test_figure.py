from __future__ import annotations

import math
from pathlib import Path

from pipeline.report.figure import Panel, draw_panels
from pipeline.report.rows import make_row


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
