"""Recordings of phones and browsers (m4a, mp4, aac, webm, amr) by PyAV, in a process of its own.

PyAV's wheels hold ffmpeg's libraries, which damaged files can crash: there that is the end of a
child, here a named error.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# Of a minute at most: see the limit on bytes.
_SECONDS = 60.0
# What it ends with for more samples than are read.
_TOO_LONG = 3
_COMMAND = "chattts_onnx.audio.media_decoder"


def decode_media(source: Path, most: int) -> tuple[Floats, int]:
    """Samples [samples, channels] of ``source`` and their rate; at most ``most`` bytes of them.

    Raises ``ImportError`` where PyAV is not installed, ``OverflowError`` for more than ``most`` and
    ``ValueError`` for what can't be decoded.
    """
    if find_spec("av") is None:
        raise ImportError("PyAV is not installed")
    command = [sys.executable, "-m", _COMMAND, str(source.resolve()), str(most)]
    package = Path(__file__).resolve().parents[2]
    try:
        child = subprocess.run(command, cwd=package, capture_output=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"decoding took over {_SECONDS:g} s") from error
    if child.returncode == _TOO_LONG:
        raise OverflowError
    if child.returncode < 0:
        raise ValueError(f"its decoder crashed (signal {-child.returncode})")
    if child.returncode:
        raise ValueError(child.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2])
    rate, channels = np.frombuffer(child.stdout[:16], np.int64)
    samples = np.frombuffer(child.stdout, np.float32, offset=16)
    return samples.reshape(-1, int(channels)), int(rate)
