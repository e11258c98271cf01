"""The measured rows of a workspace: what a summary shows, a release is described and judged by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.report.machine import busy_note
from pipeline.report.rows import Row, read_report

# Those without which nothing can be said, then those that a checkpoint may lack.
REQUIRED = ("benchmark", "validation")
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
        busy: Markdown that warns where the benchmark's machine was busy; [] if it was idle.
        names: reports that were found.
    """

    rows: list[Row]
    checkpoint: dict[str, Any]
    machine: dict[str, Any]
    versions: dict[str, str]
    gates: list[dict[str, Any]]
    busy: list[str]
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
        PipelineError: the validation or the benchmark is missing, or a report is malformed.
    """
    folder = workspace / "reports"
    found = {name: read_report(folder / f"{name}.json") for name in REQUIRED}
    for name in OPTIONAL:
        path = folder / f"{name}.json"
        report = read_report(path) if path.is_file() else None
        # Speech of random weights is none, and its figures mean nothing.
        if report is not None and report.context.get("speaks", True):
            found[name] = report
    benchmark = found["benchmark"].context
    return Measured(
        rows=[row for report in found.values() for row in report.rows],
        checkpoint=dict(found["validation"].context.get("checkpoint", {})),
        machine=dict(benchmark.get("machine", {})),
        versions=dict(benchmark.get("versions", {})),
        gates=[gate for report in found.values() for gate in report.context.get("gates", [])],
        busy=busy_note(benchmark),
        names=list(found),
    )
