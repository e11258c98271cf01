from __future__ import annotations

from pipeline.report.gates import BROKEN, KEPT, UNMEASURED
from pipeline.report.rows import Row, make_row
from pipeline.studies.peer.report import GOALS, SCALING, _goals


def rows(better: bool) -> list[Row]:
    """Every goal reached, or every goal missed, by a little."""
    found = [
        make_row(variant, goal.metric, goal.limit * factor, "", **goal.where)
        for variant, goals in GOALS.items()
        for goal in goals
        for factor in [0.9 if (goal.direction == "max") is better else 1.1]
        if goal.metric != SCALING
    ]
    for variant in GOALS:
        for requests, value in ((1, 100.0), (8, 250.0 if better else 150.0)):
            found.append(
                make_row(variant, "throughput_steps_per_second", value, "", requests=requests)
            )
    return found


def test_goals_are_reached_or_not() -> None:
    assert {goal.verdict for goal in _goals(rows(better=True))} == {KEPT}
    assert {goal.verdict for goal in _goals(rows(better=False))} == {BROKEN}


def test_what_was_not_measured_has_no_verdict() -> None:
    assert {goal.verdict for goal in _goals([])} == {UNMEASURED}
