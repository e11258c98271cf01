"""Settings shared by all tests."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import pipeline  # noqa: F401  its environment: nothing reports home, and there is a HOME
from tests.lanes import summary

pytest_plugins = ["pytester"]

# A bundle or server that its owner has set up is none of the tests' business.
for _name in [name for name in os.environ if name.startswith("CHATTTS_")]:
    if _name not in (
        "CHATTTS_CLIENTS_PYTHON",
        "CHATTTS_DATA",
        "CHATTTS_PEER_PYTHON",
        "CHATTTS_STEP",
    ):
        del os.environ[_name]

# Two test processes share the cores; spinning thread pools would fight over them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A loaded machine is slow without any fault of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Three times the time for slow tests, which run whole pipelines."""
    patience = 3 * float(config.getini("timeout") or 0)
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(patience))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A line for each lane that was skipped, with the command that enables it."""
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", [])]
    reasons = [entry[2].removeprefix("Skipped: ") for entry in skipped]
    for line in summary(reasons):
        terminalreporter.write_line(line, yellow=True)
