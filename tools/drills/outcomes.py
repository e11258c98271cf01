"""What became of tests that stand for a promise."""

from __future__ import annotations

import pytest

from tools.drills.record import Promise


class _Outcomes:
    """Counts tests by what became of them."""

    passed = failed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest for each phase of a test."""
        self.failed += report.failed
        self.passed += report.passed and report.when == "call"


def tested(area: str, promise: str, path: str, names: str, how: str, result: str) -> Promise:
    """The row of a promise that tests of a file hold; ``names`` chooses some as ``-k`` does."""
    outcomes, chosen = _Outcomes(), ["-k", names] if names else []
    pytest.main([path, "-q", "-p", "no:cacheprovider", *chosen], plugins=[outcomes])
    shown = " ".join([path, *chosen])
    count = outcomes.passed + outcomes.failed
    # a promise whose tests are gone is as good as broken
    broken = outcomes.failed or int(not count)
    seen = "fails" if broken else result
    return Promise(area, promise, f"`{shown}`: {how}", count, "tests", broken, seen)
