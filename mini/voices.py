"""Every speaker vector is a voice: a blend of the teacher's voices, in both languages.

A fixed random projection of the vector (of length one) gives a coordinate for each of the
teacher's voices, normally distributed over random vectors; a softmax of them weighs their style
vectors.  All else in the vector means nothing, and training draws it anew each time.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# of kokoro-js, by their file names; female and male, Mandarin and English
BASES = ("zf_xiaoxiao", "zm_yunyang", "zm_yunjian", "af_heart", "am_michael", "af_bella")
SHARPNESS = 1.5
PROJECTION_SEED, SPEAKER_SEED = 5, 4


def _near(index: int) -> tuple[float, ...]:
    return tuple(3.0 if base == index else -0.6 for base in range(len(BASES)))


# name -> coordinates; the first is who speaks without a speaker
VOICES: dict[str, tuple[float, ...]] = {
    "ava": _near(3),
    "joe": _near(4),
    "mei": _near(0),
    "yun": _near(1),
}


@cache
def projection(hidden_size: int) -> Floats:
    """Return the orthonormal rows [bases, hidden_size] that a voice is read off."""
    rng = np.random.default_rng(PROJECTION_SEED)
    rows = rng.standard_normal((hidden_size, len(BASES)))
    return np.linalg.qr(rows)[0].T.astype(np.float32)


def coordinates(vector: Floats) -> Floats:
    """Return the coordinates [bases] of a speaker vector [hidden_size] of any length."""
    size = len(vector)
    unit = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return (projection(size) @ unit * np.float32(size**0.5)).astype(np.float32)


def blend(coordinate: NDArray[np.floating]) -> Floats:
    """Return the weights [bases] of the teacher's voices, which sum to one."""
    scaled = SHARPNESS * np.asarray(coordinate, dtype=np.float64)
    weights = np.exp(scaled - scaled.max())
    return (weights / weights.sum()).astype(np.float32)


def speaker_vector(
    coordinate: NDArray[np.floating], hidden_size: int, rng: np.random.Generator
) -> Floats:
    """Return a vector [hidden_size] of length one with these coordinates, random in all else."""
    rows = projection(hidden_size)
    told = np.asarray(coordinate, dtype=np.float32) @ rows / np.float32(hidden_size**0.5)
    rest = rng.standard_normal(hidden_size).astype(np.float32)
    rest -= rows.T @ (rows @ rest)
    room = max(1.0 - float(told @ told), 0.0) ** 0.5
    return (told + rest * np.float32(room / np.linalg.norm(rest))).astype(np.float32)


def draw_coordinates(rng: np.random.Generator, named: float) -> Floats:
    """Draw a voice: a named one with the chance ``named``, else that of a random vector."""
    if rng.random() < named:
        return np.asarray(rng.choice(list(VOICES.values())), dtype=np.float32)
    return rng.standard_normal(len(BASES)).astype(np.float32)


def speaker_vectors(hidden_size: int) -> Floats:
    """Return the vectors of the named voices [voices, hidden_size], exact in FP16."""
    rng = np.random.default_rng(SPEAKER_SEED)
    vectors = [speaker_vector(np.array(place), hidden_size, rng) for place in VOICES.values()]
    return np.stack(vectors).astype(np.float16).astype(np.float32)
