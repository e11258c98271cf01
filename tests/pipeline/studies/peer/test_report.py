from __future__ import annotations

from pipeline.report.write import Row, make_row
from pipeline.studies.peer.report import GOALS, _goals


def rows(better: bool) -> list[Row]:
    """Every goal reached, or every goal missed, by a little."""
    found = [
        make_row(goal.variant, goal.metric, goal.limit * factor, "", **goal.where)
        for goal in GOALS
        for factor in [0.9 if goal.most is better else 1.1]
    ]
    for variant in ("int8", "w4"):
        for requests, value in ((1, 100.0), (8, 250.0 if better else 150.0)):
            found.append(
                make_row(variant, "throughput_steps_per_second", value, "", requests=requests)
            )
    return found


def verdicts(table: str) -> list[str]:
    return [line.split("|")[-2].strip() for line in table.splitlines()[2:]]


def test_goals_are_reached_or_not() -> None:
    assert set(verdicts(_goals(rows(better=True)))) == {"yes"}
    assert set(verdicts(_goals(rows(better=False)))) == {"no"}
    assert len(verdicts(_goals([]))) == len(GOALS) + 2


def test_what_was_not_measured_has_no_verdict() -> None:
    assert set(verdicts(_goals([]))) == {"–"}
