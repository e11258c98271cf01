"""An evaluator from all of ``params.yaml``, for the commands of this package."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from pipeline.config import Params
from pipeline.search.evaluate import Evaluator, opened_evaluator


def evaluator_of(
    params: Params, workspace: Path, only: Sequence[str] | None = None
) -> AbstractContextManager[Evaluator]:
    """See :func:`pipeline.search.evaluate.opened_evaluator`."""
    int8, gates = params.precision.int8, params.validate.gates
    return opened_evaluator(workspace, params.search, int8, gates, params.seed, only)
