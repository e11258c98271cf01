"""The folder that holds what training makes, and how it is written: atomically and resumably."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch

ENVIRONMENT = "MINI_WORK"
DEFAULT = Path(__file__).resolve().parent / "work"


def work_folder(given: str | Path | None = None) -> Path:
    """Return the training folder: as given, else ``$MINI_WORK``, else ``mini/work``."""
    folder = Path(given or os.environ.get(ENVIRONMENT) or DEFAULT)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pick_device() -> torch.device:
    """Return the GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training state; a reader never sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    torch.save(state, partial)
    partial.replace(path)


def load_state(path: Path) -> dict[str, Any] | None:
    """Read a training state, or None where there is none yet."""
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
