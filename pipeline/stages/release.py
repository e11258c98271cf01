"""Pack the bundles with all that others need to trust and use them.

Reads ``bundles/`` and ``reports/``; writes ``dist/`` (see :mod:`pipeline.release.build`) and
``reports/metrics.json``.  What may not be published without being told to is packed all the same,
marked, and refused by ``python -m pipeline.release.publish``.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.config import Params
from pipeline.core.atomic import output_directory, write_json
from pipeline.release.build import build_release
from pipeline.release.reports import read_measured
from pipeline.report.compare import flat_figures
from pipeline.stages._runner import stage_main

DIST = Path("dist")
METRICS = Path("reports/metrics.json")


def run(params: Params, workspace: Path) -> None:
    """See the module's docstring.

    Raises:
        BundleError: a bundle is missing or damaged.
        ReleaseError: a report is missing, or is of another checkpoint.
    """
    rows = read_measured(workspace).rows
    with output_directory(workspace / DIST) as folder:
        build_release(workspace, params.release, params.tools, folder)
    write_json(workspace / METRICS, flat_figures(rows, params.release.rules))


if __name__ == "__main__":
    stage_main("release", run)
