"""What differs between two runs' parameters and metrics, as a unified diff."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff


def parameter_diff(before: Mapping[str, str], after: Mapping[str, str], name: str) -> str:
    """Lines that differ between two runs' parameters; '' where none does.

    Args:
        before: parameters of the earlier run, called ``name``.
        after: those of this run.
        name: shown in the heading.
    """
    return "".join(
        f"{line}\n"
        for line in unified_diff(_lines(before), _lines(after), name, "this run", lineterm="", n=0)
        if not line.startswith("@@")
    )


def metric_diff(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, list[object]]:
    """A table of the metrics that both runs have and that differ, a list a column."""
    names = sorted(n for n in before.keys() & after.keys() if before[n] != after[n])
    return {
        "metric": list(names),
        "before": [before[name] for name in names],
        "after": [after[name] for name in names],
        "change, %": [
            round(100 * (after[name] - before[name]) / abs(before[name]), 2)
            if before[name]
            else None
            for name in names
        ],
    }


def _lines(values: Mapping[str, str]) -> list[str]:
    return [f"{key}: {values[key]}" for key in sorted(values)]
