"""The teacher's style vectors, and that of a voice at a sentence's length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mini.voices import BASES, blend

LONGEST = 510  # most phonemes of a sentence
Floats = NDArray[np.float32]


def load_styles(work: Path) -> Floats:
    """Read the style vectors [bases, phonemes, 256] of ``kokoro-js``.

    Raises:
        FileNotFoundError: they are not there.
    """
    folder = work / "teacher" / "package" / "voices"
    if not folder.is_dir():
        raise FileNotFoundError(
            f"found no {folder}; run `npm pack kokoro-js@1.2.1` in {work / 'teacher'} and unpack "
            "it there with tar"
        )
    return np.stack(
        [np.fromfile(folder / f"{name}.bin", dtype="<f4").reshape(LONGEST, 256) for name in BASES]
    )


def style_of(styles: Floats, voice: NDArray[np.floating], phonemes: int) -> Floats:
    """Return the style vector [256] of a voice [bases] for so many phonemes."""
    return (blend(voice) @ styles[:, phonemes - 1]).astype(np.float32)
