"""The database that a record is written into is never seen half-made."""

from __future__ import annotations

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.core.errors import StorageError, TrackingError
from pipeline.tracking import database
from pipeline.tracking.database import make_database


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as opened:
        return {name for (name,) in opened.execute("select name from sqlite_master")}


def test_a_new_database_is_complete_and_an_old_one_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    make_database(f"sqlite:///{path}")
    assert {"experiments", "runs", "registered_models"} <= tables(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mlflow.db"]
    client = MlflowClient(tracking_uri=f"sqlite:///{path}")
    client.create_experiment("kept")
    make_database(f"sqlite:///{path}")
    assert client.get_experiment_by_name("kept") is not None


def test_a_kill_while_tables_are_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(database.SqlAlchemyStore):  # type: ignore[misc]
        def __init__(self, uri: str, artifacts: str) -> None:
            half = Path(uri.removeprefix("sqlite:///"))
            half.write_bytes(b"half")
            raise KeyboardInterrupt

    monkeypatch.setattr(database, "SqlAlchemyStore", Killed)
    with pytest.raises(KeyboardInterrupt):
        make_database(f"sqlite:///{tmp_path}/mlflow.db")
    assert not list(tmp_path.iterdir())


def test_a_database_that_came_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mlflow.db"

    class Slow(database.SqlAlchemyStore):  # type: ignore[misc]
        def __init__(self, uri: str, artifacts: str) -> None:
            super().__init__(uri, artifacts)
            path.write_bytes(b"of another process")

    monkeypatch.setattr(database, "SqlAlchemyStore", Slow)
    make_database(f"sqlite:///{path}")
    assert path.read_bytes() == b"of another process"


def test_a_server_and_another_database_are_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_database("http://127.0.0.1:5000")
    make_database("postgresql://mlflow@127.0.0.1/mlflow")
    assert not list(tmp_path.iterdir())


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(TrackingError, match="no regular file"):
        make_database(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(scratch: Path, destination: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(scratch))

    monkeypatch.setattr("pipeline.core.atomic.commit", full)
    with pytest.raises(StorageError, match="No space left"):
        make_database(f"sqlite:///{tmp_path}/mlflow.db")
    assert not list(tmp_path.iterdir())
