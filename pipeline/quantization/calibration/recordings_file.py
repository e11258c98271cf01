"""Recordings on disk, so that later stages need not let the FP32 bundle speak again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from pipeline.core.errors import QuantizationError
from pipeline.quantization.calibration.recording import Recording

FILE = "recordings.npz"


def save_recordings(folder: Path, recordings: Sequence[Recording]) -> None:
    """Write ``recordings.npz``; the same recordings give the same bytes."""
    arrays = {
        f"{index}/{field.name}": getattr(recording, field.name)
        for index, recording in enumerate(recordings)
        for field in fields(Recording)
    }
    np.savez_compressed(folder / FILE, allow_pickle=False, **arrays)


def load_recordings(folder: Path) -> list[Recording]:
    """Read what :func:`save_recordings` wrote.

    Raises:
        QuantizationError: the file is missing or damaged.
    """
    names = [field.name for field in fields(Recording)]
    try:
        with np.load(folder / FILE, allow_pickle=False) as arrays:
            count = len(arrays.files) // len(names)
            return [
                Recording(**{name: arrays[f"{index}/{name}"] for name in names})
                for index in range(count)
            ]
    except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        raise QuantizationError(
            f"{folder / FILE}: found no recordings ({type(error).__name__}: {error}); "
            "run the calibrate stage again"
        ) from error
