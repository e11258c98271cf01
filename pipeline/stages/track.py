"""Replay everything the earlier stages wrote into MLflow.

DVC skips stages that are up to date, and a skipped stage logs nothing, so no stage but this last
one talks to MLflow.  The database is no output of DVC; a small marker is.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.config import Params
from pipeline.core.atomic import write_json
from pipeline.stages._runner import stage_main
from pipeline.tracking.record import record
from pipeline.tracking.results import read_results

MARKER = Path("build/tracking.json")


def run(params: Params, workspace: Path) -> None:
    """Record ``reports/``, ``samples/`` and the bundles, as models too; write the marker."""
    results = read_results(workspace)
    parent = record(results, params.tracking, workspace)
    marker = {
        "experiment": params.tracking.experiment,
        "run_id": parent,
        "content_hash": results.content_hash,
        "variants": [variant.name for variant in results.variants],
    }
    write_json(workspace / MARKER, marker)


if __name__ == "__main__":
    stage_main("track", run)
