"""What a process of one's own is started with."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def own_environment(threads: int | None = None) -> dict[str, str]:
    """Variables for a Python process that imports this code, wherever it is started.

    Args:
        threads: of numerical libraries; None leaves the choice to them.
    """
    environment = dict(os.environ)
    # A workspace other than the repository's root has no packages beside it.
    paths = [str(ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    if threads is not None:
        environment |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    return environment
