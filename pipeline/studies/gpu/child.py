"""Checks in a process of their own: ``python -m pipeline.studies.gpu.child``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from pipeline.core.process import answer
from pipeline.report.rows import Row
from pipeline.studies.gpu.setup import Setup

CALLS = {
    name: f"pipeline.studies.gpu.{module}"
    for name, module in {
        "build": "build",
        "copy_bandwidth": "build",
        "placement": "placement",
        "sampler": "validation",
        "validation": "validation",
        "outlier": "outlier",
        "profile": "profile",
        "arena": "arena",
    }.items()
}
"""Functions that check something, and where they are; each yields rows."""


def handle(request: dict[str, Any]) -> list[Row]:
    """Rows of ``request`` {"call", "setup", "arguments"}; imports only what that needs."""
    function = getattr(import_module(CALLS[request["call"]]), request["call"])
    return list(function(Setup.of(request["setup"]), **request["arguments"]))


if __name__ == "__main__":
    answer(handle)
