"""What became of tests that stand for a promise."""

from __future__ import annotations

import pytest


class _Outcomes:
    """Counts tests by what became of them."""

    passed = failed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest for each phase of a test."""
        self.failed += report.failed
        self.passed += report.passed and report.when == "call"


def run_tests(path: str, names: str = "") -> tuple[int, int]:
    """Tests of a file that (pass, fail); ``names`` chooses some as ``-k`` does."""
    outcomes = _Outcomes()
    options = ["-q", "-p", "no:cacheprovider", *(["-k", names] if names else [])]
    pytest.main([path, *options], plugins=[outcomes])
    return outcomes.passed, outcomes.failed
