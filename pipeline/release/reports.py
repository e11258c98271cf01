"""The measured rows that a release is described and judged by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import ReleaseError

# Those without which nothing can be said, then those that a checkpoint may lack.
REQUIRED = ("validation", "benchmark")
OPTIONAL = ("speech",)


@dataclass(frozen=True)
class Measured:
    """Rows of the reports, and what they were measured on.

    Attributes:
        rows: of all reports.
        checkpoint: context of the validated checkpoint.
        machine: of the benchmark.
        versions: tools of the benchmark.
        gates: verdicts of the validation and, where it ran, of the speech stage.
        names: reports that were found.
    """

    rows: list[dict[str, Any]]
    checkpoint: dict[str, Any]
    machine: dict[str, Any]
    versions: dict[str, str]
    gates: list[dict[str, Any]]
    names: list[str]

    @property
    def random_weights(self) -> bool:
        """Whether the weights were drawn instead of trained."""
        return self.checkpoint.get("weights") == "random"

    def gates_of(self, variant: str) -> list[dict[str, Any]]:
        """A variant's gates."""
        return [gate for gate in self.gates if gate["variant"] == variant]


def read_measured(workspace: Path) -> Measured:
    """Read ``reports/`` of a workspace.

    Raises:
        ReleaseError: the validation or the benchmark is missing, or a report is malformed.
    """
    folder = workspace / "reports"
    found = {name: _read(folder / f"{name}.json") for name in REQUIRED}
    for name in OPTIONAL:
        report = _read(folder / f"{name}.json") if (folder / f"{name}.json").is_file() else None
        # Speech of random weights is none, and its figures mean nothing.
        if report is not None and report["context"].get("speaks", True):
            found[name] = report
    contexts = {name: report["context"] for name, report in found.items()}
    return Measured(
        rows=[row for report in found.values() for row in report["rows"]],
        checkpoint=dict(contexts["validation"]["checkpoint"]),
        machine=dict(contexts["benchmark"]["machine"]),
        versions=dict(contexts["benchmark"].get("versions", {})),
        gates=[gate for context in contexts.values() for gate in _gates(context)],
        names=list(found),
    )


def _gates(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [gate for gate in context.get("gates", []) if "limit" in gate and "variant" in gate]


def _read(path: Path) -> dict[str, Any]:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(report["context"], dict) or not isinstance(report["rows"], list):
            raise ValueError("context or rows")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseError(
            f"{path}: found no report ({error}), expected {{context, rows}}; run `dvc repro`."
        ) from error
    return dict(report)
