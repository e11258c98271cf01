"""The present results beside the last release's: ``python -m pipeline.studies.release.compare``.

Shows which tools changed and what that did to quality and speed, and stops (exit status 1) when a
result breaks a gate of the last release or is worse than its rules allow.  Gates and rules are
those of the baseline, so that loosening ``conf/`` does not let a worse result through unseen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import load_params
from pipeline.core.atomic import write_text
from pipeline.core.command import command
from pipeline.core.errors import GateError, ReleaseError
from pipeline.report.compare import Change, compare, same_machine
from pipeline.report.gates import GateResult, judge
from pipeline.report.measured import Measured, read_measured
from pipeline.report.write import format_value, markdown_table
from pipeline.studies.release.baseline import BASELINE, Baseline, present_figures, read_baseline

STOPPED = 1


@dataclass(frozen=True)
class Comparison:
    """What changed since the last release.

    Attributes:
        baseline: the last release.
        tools: distribution, version then, version now, where they differ.
        changes: of every variant by every rule.
        gates: the last release's gates, held against the present rows.
        missing: variants of the last release that were not measured now.
        busy: warnings of figures that a busy machine gave, then or now.
    """

    baseline: Baseline
    tools: list[tuple[str, str, str]]
    changes: list[Change]
    gates: list[GateResult]
    missing: list[str]
    busy: list[str]

    def failures(self, speed: bool) -> list[str]:
        """Why the result may not be released; ``speed`` counts what depends on the machine."""
        worse = [
            change.describe()
            for change in self.changes
            if change.verdict in ("worse", "gone") and (speed or not change.rule.machine_bound)
        ]
        broken = [gate.describe() for gate in self.gates if not gate.passed]
        absent = [f"{variant}: no longer measured" for variant in self.missing]
        return [*absent, *broken, *worse]


def compare_with(baseline: Baseline, measured: Measured, tools: Mapping[str, str]) -> Comparison:
    """Hold the present results against a baseline.

    Raises:
        ReleaseError: they are of another checkpoint.
    """
    now = {key: measured.checkpoint.get(key) for key in ("name", "revision")}
    if now != baseline.checkpoint:
        raise ReleaseError(
            f"the last release is of checkpoint {baseline.checkpoint}, the reports are of {now}; "
            "figures of different weights can't be compared. Accept a new baseline: "
            "python -m pipeline.studies.release.baseline"
        )
    # A busy machine's speed is a bar too low to hold anything against.
    alike = same_machine(baseline.machine, measured.machine) and not baseline.busy
    present = present_figures(measured, baseline.rules)
    changes = [
        change
        for variant, before in baseline.figures.items()
        if variant in present
        for change in compare(variant, before, present[variant], baseline.rules, alike)
    ]
    gates = {name: limits for name, limits in baseline.gates.items() if name in present}
    names = sorted(baseline.tools.keys() | tools.keys())
    return Comparison(
        baseline=baseline,
        tools=[
            (name, baseline.tools.get(name, "–"), tools.get(name, "–"))
            for name in names
            if baseline.tools.get(name) != tools.get(name)
        ],
        changes=changes,
        gates=judge(measured.rows, gates, str(BASELINE)),
        missing=[variant for variant in baseline.figures if variant not in present],
        busy=[
            f"{when}: {note}"
            for when, notes in (("Then", baseline.busy), ("Now", measured.busy))
            for note in notes
        ],
    )


def render(comparison: Comparison, failures: Sequence[str]) -> str:
    """The comparison as Markdown."""
    base = comparison.baseline
    parts = [f"# Against release {base.version} (`{base.commit[:12]}`)"]
    parts += comparison.busy
    if comparison.tools:
        lines = [[name, before, after] for name, before, after in comparison.tools]
        parts.append("## Versions\n\n" + markdown_table(["tool", "then", "now"], lines))
    shown = [change for change in comparison.changes if change.verdict != "same"]
    if shown:
        header = ["variant", "figure", "then", "now", "change", "verdict"]
        parts.append("## Changes\n\n" + markdown_table(header, [_line(c) for c in shown]))
    same = len(comparison.changes) - len(shown)
    parts.append(f"{same} of {len(comparison.changes)} figures are the same within their noise.")
    kept = sum(gate.passed for gate in comparison.gates)
    parts.append(f"{kept} of {len(comparison.gates)} gates of that release hold.")
    if failures:
        parts.append("## Worse than allowed\n\n" + "\n".join(f"- {line}" for line in failures))
    return "\n\n".join(parts) + "\n"


def _line(change: Change) -> list[str]:
    share = "–" if change.share is None else f"{change.share:+.1%}"
    values = (format_value(change.before), format_value(change.after))
    return [change.variant, change.rule.key, *values, share, change.verdict]


@command("compare")
def main(arguments: list[str] | None = None) -> int:
    """Entry point: 0 when the result may be released, 1 when not, 2 for an error."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.studies.release.compare", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    parser.add_argument(
        "--speed",
        choices=("stop", "show"),
        default="stop",
        help="show: a busy machine's figures of speed and memory stop nothing",
    )
    parser.add_argument("--output", type=Path, help="write the comparison as Markdown, too")
    given = parser.parse_args(arguments)
    try:
        params = load_params(Path("params.yaml"))
        baseline = read_baseline(given.baseline)
        comparison = compare_with(baseline, read_measured(Path.cwd()), params.tools)
        failures = comparison.failures(given.speed == "stop")
        text = render(comparison, failures)
        print(text, end="")
        if given.output:
            write_text(given.output, text)
        if failures:
            raise GateError("; ".join(failures))
    except GateError as error:
        print(f"compare: {type(error).__name__}: {error}", file=sys.stderr)
        return STOPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
