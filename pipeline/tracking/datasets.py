"""Sentence files as MLflow datasets: name, schema, size and digest, shown beside a run."""

from __future__ import annotations

import warnings
from pathlib import Path

import mlflow.data
import pandas
from mlflow.entities import DatasetInput, InputTag

from pipeline.core.errors import TrackingError

CONTEXT = "mlflow.data.context"


def dataset_input(path: Path, shown: str, context: str) -> DatasetInput:
    """A JSONL file for ``client.log_inputs``.

    Args:
        path: the file.
        shown: its path relative to the repository, by which MLflow names the source.
        context: what it was used for, such as ``calibration``.

    Raises:
        TrackingError: the file is missing or no JSONL.
    """
    try:
        table = pandas.read_json(path, lines=True)
    except (OSError, ValueError) as error:
        raise TrackingError(f"{path}: found no JSONL ({error}), expected sentences") from error
    with warnings.catch_warnings():
        # about integer columns, and that a local path may be read in two ways
        warnings.simplefilter("ignore", UserWarning)
        dataset = mlflow.data.from_pandas(table, source=shown, name=Path(shown).stem)  # type: ignore[attr-defined]
        entity = dataset._to_mlflow_entity()
    return DatasetInput(entity, [InputTag(CONTEXT, context)])
