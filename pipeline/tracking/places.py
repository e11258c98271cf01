"""Where MLflow's database says that artifacts lie: from its own folder, so that both can be moved.

MLflow makes every local place absolute when an experiment is created, and derives those of runs and
models from it; what a copy or a container finds there is nothing, or another record.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from pipeline.tracking.database import SQLITE

# Columns that hold a place.
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def make_relative(uri: str, artifacts: str, workspace: Path, experiment: str) -> None:
    """Write the places of an experiment as paths from ``workspace``, and those of its runs.

    Nothing is done where a server keeps the artifacts, or where database or artifacts are named by
    an absolute path: neither moves with the workspace.

    Args:
        uri: of the tracking, as it is configured.
        artifacts: their folder, relative to the workspace.
        workspace: folder of the database.
        experiment: its id.
    """
    database = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or database.is_absolute() or Path(artifacts).is_absolute():
        return
    with closing(sqlite3.connect(workspace / database)) as connection, connection:
        query = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
        (old,) = connection.execute(query, (experiment,)).fetchone()
        if old == artifacts:
            return
        for table, column in PLACES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (artifacts, len(old) + 1, old, len(old) + 1, f"{old}/"),
            )
