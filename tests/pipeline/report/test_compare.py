"""Which changes of a figure count."""

from __future__ import annotations

import pytest

from pipeline.report.compare import Rule, figures, verdicts

QUALITY = Rule("kl_divergence", {"head": "all"}, "lower", 0.25, 0.05, 1e-4, False)
SPEED = Rule("steps_per_second", {"batch": 1}, "higher", 0.3, 0.1, 0.0, True)


def test_the_worst_row_counts() -> None:
    rows = [
        {"variant": "a", "metric": "steps_per_second", "batch": 1, "value": value}
        for value in (9.0, 7.0)
    ]
    assert figures(rows, "a", [SPEED, QUALITY]) == {"steps_per_second[batch=1]": 7.0}


@pytest.mark.parametrize(
    ("rule", "before", "after", "expected"),
    [
        (QUALITY, 1e-12, 5e-5, "same"),
        (QUALITY, 1e-12, 2e-4, "worse"),
        (QUALITY, 0.1, 0.12, "same"),
        (SPEED, 100.0, 71.0, "same"),
        (SPEED, 100.0, 69.0, "worse"),
        (SPEED, 100.0, 111.0, "better"),
    ],
)
def test_noise_and_what_is_tolerated_do_not(
    rule: Rule, before: float, after: float, expected: str
) -> None:
    found = verdicts({rule.key: before}, {rule.key: after}, [rule], same_machine=True)
    assert found == {rule.key: expected}
