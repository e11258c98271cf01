"""The results of a workspace in MLflow's pages: ``python -m pipeline.ui``, or ``make ui``.

Prints a link that opens on the comparison of variants, and serves until Ctrl+C. Records that were
made at another place, by a version of this project that wrote absolute paths, are found again.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from mlflow import MlflowClient
from mlflow.cli import cli

from pipeline.config import load_params
from pipeline.core.command import command
from pipeline.core.errors import TrackingError
from pipeline.tracking.config import TrackingConfig
from pipeline.tracking.database import SQLITE
from pipeline.tracking.pages import links
from pipeline.tracking.places import make_relative


def prepare(config: TrackingConfig, workspace: Path) -> str:
    """Mend what a move has broken; return the experiment's id.

    Raises:
        TrackingError: nothing was recorded, or a server has the records.
    """
    if not config.uri.startswith(SQLITE):
        raise TrackingError(f"{config.uri}: the records are on a server; its own page shows them")
    if not (workspace / config.uri.removeprefix(SQLITE)).is_file():
        raise TrackingError(
            f"{config.uri}: found no record, expected one; run `make repro`, or where that has "
            "nothing to do, after `dvc pull`: `dvc repro --force --single-item track`"
        )
    experiment = MlflowClient(config.uri).get_experiment_by_name(config.experiment)
    if experiment is None:
        raise TrackingError(f"{config.uri}: found no experiment {config.experiment}")
    make_relative(config.uri, config.artifacts, workspace, experiment.experiment_id)
    return str(experiment.experiment_id)


@command("ui")
def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.ui", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=5000, help="port (%(default)s)")
    options = parser.parse_args()
    workspace = Path.cwd()
    config = load_params(workspace / "params.yaml").tracking
    experiment = prepare(config, workspace)
    for name, link in links(f"http://{options.host}:{options.port}", experiment).items():
        print(f"{name}: {link}", flush=True)
    # One reader needs neither four processes nor those that judge traces.
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    arguments = ["ui", "--backend-store-uri", config.uri, "--workers", "1"]
    cli([*arguments, "--host", options.host, "--port", str(options.port)], standalone_mode=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
