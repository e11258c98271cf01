"""WAV files with the standard library alone."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..atomic_files import write_file
from ..errors import InputError
from .formats import choose_format

Floats = npt.NDArray[np.float32]

_PCM, _IEEE_FLOAT = 1, 3


def to_bytes(audio: npt.ArrayLike, sample_rate: int, sample_format: str = "int16") -> bytes:
    """A mono WAV file of ``audio`` [samples] in -1..1; ``sample_format`` int16 or float32.

    int16 clips what lies outside.  Raises :class:`InputError` on other shapes and on NaN.
    """
    samples = np.asarray(audio, dtype=np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise InputError(
            f"audio has shape {list(samples.shape)}; expected finite numbers [samples]."
        )
    if sample_format == "int16":
        data = np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()
        code, width = _PCM, 2
    elif sample_format == "float32":
        data = samples.astype("<f4").tobytes()
        code, width = _IEEE_FLOAT, 4
    else:
        raise InputError(f"sample_format is {sample_format!r}; expected 'int16' or 'float32'.")
    head = struct.pack("<HHIIHH", code, 1, sample_rate, sample_rate * width, width, 8 * width)
    # Formats other than PCM carry an extension size and a fact chunk with the number of samples.
    fact = b"" if code == _PCM else struct.pack("<4sII", b"fact", 4, len(samples))
    extension = b"" if code == _PCM else struct.pack("<H", 0)
    form = struct.pack("<4sI", b"fmt ", len(head) + len(extension)) + head + extension
    body = b"WAVE" + form + fact + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def write_wav(
    path: Path | str, audio: npt.ArrayLike, sample_rate: int, sample_format: str = "int16"
) -> None:
    """Write a WAV file in one rename: a reader never sees half of it.

    Raises :class:`InputError` as :func:`to_bytes`, for a name whose suffix means another format,
    or where it can't be written.
    """
    choose_format(str(path), "wav")
    target, data = Path(path), to_bytes(audio, sample_rate, sample_format)
    try:
        write_file(target, data)
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}.") from error


def join(chunks: Iterable[Floats]) -> Floats:
    """Chunks as one array [samples]."""
    parts = list(chunks)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)
