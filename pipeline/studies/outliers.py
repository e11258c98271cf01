"""Gates of ``validate`` beside the strength of outliers: ``python -m pipeline.studies.outliers``.

Each strength is a checkpoint in a workspace of its own, which DVC brings up to ``validate``; what
it has made already it does not make again.  Writes ``reports/outliers.{json,md}``, and ends in an
error where a gate is broken.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.command import command
from pipeline.core.errors import GateError, PipelineError
from pipeline.core.source import read_source
from pipeline.fidelity.validate import METRICS
from pipeline.report.gates import BROKEN, NOT_FINITE, GateResult
from pipeline.report.rows import Report, Row, make_row, read_report
from pipeline.report.write import format_value, markdown_table, write_report
from pipeline.workspace import prepare

REPORT = Path("reports/outliers.json")
TITLE = "Gates beside the strength of outliers"
CHECKPOINT = "mini_outliers"
UNITS = {metric.name: metric.unit for metric in (*METRICS.values(), NOT_FINITE)}


@dataclass(frozen=True)
class Case:
    """A strength of outliers; see :class:`pipeline.checkpoint.outliers.OutliersConfig`.

    ``workspace`` is its folder below ``workspaces/``.
    """

    workspace: str
    strength: int
    massive: int = 0

    @property
    def overrides(self) -> list[str]:
        """What its workspace is composed with."""
        given = f"checkpoint.outliers.strength={self.strength}"
        return [f"checkpoint={CHECKPOINT}", given, f"checkpoint.outliers.massive={self.massive}"]

    @property
    def title(self) -> str:
        """A column's heading."""
        return f"{self.strength}, massive {self.massive}" if self.massive else str(self.strength)


CASES = (
    Case("outliers_10", 10),
    Case(CHECKPOINT, 40),
    Case("outliers_100", 100),
    Case("outliers_100_massive", 100, 3000),
)


def reproduce(workspace: Path) -> int:
    """Bring a workspace up to ``validate``; the exit status, which a broken gate makes one too."""
    return subprocess.call([sys.executable, "-m", "pipeline.repro", "validate"], cwd=workspace)


def measure(root: Path, case: Case, make: Callable[[Path], int]) -> Report:
    """The validation report of a case.

    Raises:
        PipelineError: it could not be made.
    """
    workspace = prepare(case.workspace, case.overrides, root)
    path = workspace / "reports" / "validation.json"
    before = _written(path)
    # an older report says nothing of a run that ended before its own
    if make(workspace) and _written(path) == before:
        raise PipelineError(f"{workspace}: found no validation; what DVC said above tells why")
    return read_report(path)


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns if path.is_file() else 0


def gate_rows(case: Case, gates: Iterable[GateResult]) -> list[Row]:
    """A row a gate: its value, and the case as conditions."""
    where = {"strength": case.strength, "massive": case.massive}
    return [
        make_row(
            gate.variant, gate.metric, float("nan") if gate.value is None else gate.value,
            UNITS[gate.metric], **gate.where, **where,
        )
        for gate in gates
    ]  # fmt: skip


def table(found: Sequence[tuple[Case, Sequence[GateResult]]]) -> str:
    """A line a gate, a column a case; what is broken in bold."""
    lines: dict[tuple[str, ...], dict[str, str]] = {}
    for case, gates in found:
        for gate in gates:
            mark = "**" if gate.verdict == BROKEN else ""
            line = (gate.variant, gate.metric, gate.condition or "all", gate.bound)
            lines.setdefault(line, {})[case.title] = f"{mark}{format_value(gate.value)}{mark}"
    titles = [case.title for case, _ in found]
    # a variant with NaN has that verdict alone
    rows = [
        [*line, *(values.get(title, format_value(None)) for title in titles)]
        for line, values in lines.items()
    ]
    return markdown_table(["variant", "metric", "condition", "limit", *titles], rows)


NOTES = f"""\
`{CHECKPOINT}` with channels `strength` times larger, and two of the first position's residual as
large as `massive` says; validated as `make repro CHECKPOINT={CHECKPOINT}` validates. The strengths
without massive activations compute one function; the other is a function that nobody trained."""


def run(root: Path, make: Callable[[Path], int] = reproduce) -> None:
    """Measure every case; see the module's docstring.

    Raises:
        PipelineError: a case could not be made; nothing is written then.
        GateError: a gate is broken; the report is written first.
    """
    found: list[tuple[Case, list[GateResult]]] = []
    context: dict[str, Any] = {}
    for case in CASES:
        context = measure(root, case, make).context
        found.append((case, [GateResult(**gate) for gate in context["gates"]]))
    kept = {key: context[key] for key in ("machine", "versions", "provider", "prompts", "seed")}
    rows = [row for case, gates in found for row in gate_rows(case, gates)]
    write_report(
        root / REPORT, {"commit": str(read_source(root)), **kept}, rows, title=TITLE,
        sections=[NOTES, f"## Gates\n\n{table(found)}"],
    )  # fmt: skip
    broken = [
        f"strength {case.title}: {gate.describe()}"
        for case, gates in found
        for gate in gates
        if not gate.passed
    ]
    if broken:
        raise GateError(f"{'; '.join(broken)}. See {REPORT.with_suffix('.md')}.")


@command("outliers")
def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    argparse.ArgumentParser(description=__doc__.partition(":")[0]).parse_args(arguments)
    run(Path.cwd())
    return 0


if __name__ == "__main__":
    sys.exit(main())
