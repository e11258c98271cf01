"""A database file for MLflow that is whole or absent.

MLflow makes its tables and then migrates them in dozens of steps that SQLite does not undo: a kill
in between leaves a file that MLflow 3.17 refuses from then on.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from pipeline.core.atomic import write_bytes
from pipeline.core.errors import TrackingError

SQLITE = "sqlite:///"


def make_database(uri: str) -> None:
    """Where ``uri`` names an SQLite file that does not exist, make it, with all tables.

    Raises:
        TrackingError: it names something else than a file; MLflow would try for two minutes.
        StorageError: there is no room or no permission.
    """
    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or path.is_file():
        return
    if path.exists():
        raise TrackingError(f"{uri}: found no regular file, expected a database or nothing")
    with TemporaryDirectory(prefix="mlflow-") as folder:
        scratch = Path(folder) / path.name
        # The second is a place for MLflow's own default experiment, which nothing is written to.
        store = SqlAlchemyStore(f"{SQLITE}{scratch}", "mlruns")
        store.engine.dispose()
        write_bytes(path, scratch.read_bytes(), replace=False)
