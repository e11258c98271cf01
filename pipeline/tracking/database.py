"""A database file for MLflow that is whole or absent.

MLflow makes its tables and then migrates them in dozens of steps that SQLite does not undo: a kill
in between leaves a file that MLflow 3.17 refuses from then on.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from pipeline.atomic import write_bytes

SQLITE = "sqlite:///"


def make_database(uri: str) -> None:
    """Where ``uri`` names an SQLite file that does not exist, make it, with all tables."""
    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or path.exists():
        return
    with TemporaryDirectory(prefix="mlflow-") as folder:
        scratch = Path(folder) / path.name
        # The second is a place for MLflow's own default experiment, which nothing is written to.
        store = SqlAlchemyStore(f"{SQLITE}{scratch}", "mlruns")
        store.engine.dispose()
        write_bytes(path, scratch.read_bytes(), replace=False)
