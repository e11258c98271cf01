from __future__ import annotations

from pipeline.headline import COLUMNS, METRICS
from pipeline.report.metrics import Metric, metrics_table
from pipeline.report.rows import make_row

SIZE = Metric(
    name="size_bytes", unit="B", better="lower", title="size", shown="MB", factor=1e-6, digits=".1f"
)
SPEED = Metric(name="speed", unit="1/s", better="higher", title="speed", where={"batch": 1})


def test_a_table_is_made_of_what_metrics_say() -> None:
    rows = [SIZE.row("a", 2_500_000), SPEED.row("a", 9.0, batch=4), SPEED.row("a", 3.0, batch=1)]
    table = metrics_table([*rows, SIZE.row("b", 1e9)], (SIZE, SPEED))
    assert table.splitlines()[0] == "| variant | size, MB ↓ | speed ↑ |"
    assert table.splitlines()[2:] == ["| a | 2.5 | 3 |", "| b | 1,000.0 | – |"]
    assert SPEED.row("a", 3.0, batch=1) == make_row("a", "speed", 3.0, "1/s", batch=1)


def test_what_nobody_measured_has_no_column() -> None:
    table = metrics_table([SIZE.row("fp32_other_seeds", 1e6)], (SIZE, SPEED))
    assert table.splitlines()[0] == "| variant | size, MB ↓ |"
    assert table.splitlines()[2:] == ["| fp32 other seeds | 1.0 |"]


def test_every_headline_says_which_way_is_better() -> None:
    assert len({metric.title for metric in COLUMNS}) == len(COLUMNS)
    assert all(metric.better for metric in COLUMNS)
    assert all(name == metric.name for name, metric in METRICS.items())
