"""What the last release measured and demanded: ``reports/release.json``, kept in git.

``python -m pipeline.studies.release.baseline`` accepts the present reports as the next baseline;
commit it with the release.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chattts_onnx import __version__
from chattts_onnx.errors import ChatTTSError
from pipeline.config import load_params
from pipeline.core.atomic import write_json
from pipeline.core.command import command
from pipeline.core.errors import ReleaseError
from pipeline.core.source import read_source
from pipeline.core.strict import parse_strictly
from pipeline.report.compare import MACHINE_KEYS, Rule, flat_figures
from pipeline.report.gates import GateConfig
from pipeline.report.measured import Measured, read_measured

BASELINE = Path("reports/release.json")


@dataclass(frozen=True)
class Baseline:
    """A release as later ones are compared with it.

    Attributes:
        version: of this distribution.
        commit: of the code.
        checkpoint: its name and revision.
        machine: what the speed was measured on.
        tools: versions that the outputs depended on.
        gates: limits of each variant, as they were.
        rules: what later figures are compared by, as they were.
        figures: value of each rule's key, by variant.
        busy: Markdown that warns where the speed was measured on a busy machine.
    """

    version: str
    commit: str
    checkpoint: dict[str, Any]
    machine: dict[str, Any]
    tools: dict[str, str]
    gates: dict[str, list[GateConfig]]
    rules: list[Rule]
    figures: dict[str, dict[str, float]]
    busy: list[str] = field(default_factory=list)


def read_baseline(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        ReleaseError: there is none, or it is malformed.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReleaseError(
            f"{path}: found no baseline ({error}); make one of the last release's reports: "
            "python -m pipeline.studies.release.baseline"
        ) from error
    try:
        return parse_strictly(value, Baseline)
    except ChatTTSError as error:
        raise ReleaseError(f"{path}: {error}") from error


def make_baseline(workspace: Path) -> dict[str, Any]:
    """The present reports and parameters as a baseline.

    Raises:
        ReleaseError: a report is missing.
        ConfigError: the parameters do not fit.
    """
    params = load_params(workspace / "params.yaml")
    measured = read_measured(workspace)
    return {
        "version": __version__,
        "commit": read_source(workspace).commit,
        "checkpoint": {key: measured.checkpoint.get(key) for key in ("name", "revision")},
        "machine": {key: measured.machine.get(key) for key in MACHINE_KEYS},
        "tools": dict(params.tools),
        "gates": {
            variant: [vars(gate) for gate in gates]
            for variant, gates in params.validate.gates.items()
        },
        "rules": [rule.as_dict() for rule in params.release.rules],
        "figures": present_figures(measured, params.release.rules),
        "busy": measured.busy,
    }


def present_figures(measured: Measured, rules: list[Rule]) -> dict[str, dict[str, float]]:
    """Figures of every variant but the reference, which is no part of a release."""
    found = flat_figures(measured.rows, rules)
    return {variant: values for variant, values in found.items() if variant != "reference"}


@command("baseline")
def main(arguments: list[str] | None = None) -> int:
    """Entry point: write the baseline of the current folder."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.studies.release.baseline",
        description="Accept the present reports as what the next release is compared with.",
    )
    parser.add_argument("--output", type=Path, default=BASELINE)
    given = parser.parse_args(arguments)
    write_json(given.output, make_baseline(Path.cwd()))
    print(f"{given.output}: commit it with the release")
    return 0


if __name__ == "__main__":
    sys.exit(main())
