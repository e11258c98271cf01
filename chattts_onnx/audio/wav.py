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

UNKNOWN_SIZE = 0xFFFFFFFF
"""What a header holds in place of a length that is not known yet."""


def to_pcm(chunk: Floats, float32: bool = False) -> bytes:
    """Little-endian samples, 16-bit (clipped) or float."""
    if float32:
        return chunk.astype("<f4").tobytes()
    return np.round(np.clip(chunk, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


def wav_header(size: int, sample_rate: int, float32: bool = False) -> bytes:
    """What stands before ``size`` bytes of mono samples (:data:`UNKNOWN_SIZE`: as they come)."""
    code, width = (3, 4) if float32 else (1, 2)
    form = struct.pack("<HHIIHH", code, 1, sample_rate, sample_rate * width, width, 8 * width)
    fact = b""
    if float32:
        # Formats other than PCM carry an extension's size and a chunk with the number of samples.
        form += struct.pack("<H", 0)
        fact = struct.pack("<4sII", b"fact", 4, size if size == UNKNOWN_SIZE else size // width)
    body = struct.pack("<4s4sI", b"WAVE", b"fmt ", len(form)) + form + fact
    body += struct.pack("<4sI", b"data", size)
    whole = size if size == UNKNOWN_SIZE else size + len(body)
    return struct.pack("<4sI", b"RIFF", whole) + body


def to_bytes(audio: npt.ArrayLike, sample_rate: int, sample_format: str = "int16") -> bytes:
    """A mono WAV file of ``audio`` [samples] in -1..1; ``sample_format`` int16 or float32.

    int16 clips what lies outside.  Raises :class:`InputError` on other shapes and on NaN.
    """
    samples = np.asarray(audio, dtype=np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise InputError(
            f"audio has shape {list(samples.shape)}; expected finite numbers [samples]."
        )
    if sample_format not in ("int16", "float32"):
        raise InputError(f"sample_format is {sample_format!r}; expected 'int16' or 'float32'.")
    data = to_pcm(samples, sample_format == "float32")
    return wav_header(len(data), sample_rate, sample_format == "float32") + data


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
