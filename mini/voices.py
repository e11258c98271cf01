"""The two voices: the teacher's own, and one made of it by a change of pitch and formants."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from mini.speech import Audio, Utterance

# new length / old length; a shorter wave at the same sample rate is higher in pitch and formants
RATIOS: dict[str, tuple[int, int]] = {"joe": (1, 1), "ava": (22, 25)}
VOICES = tuple(RATIOS)
SPEAKER_SEED = 4


def resample(audio: Audio, voice: str) -> Audio:
    """Return ``audio`` [samples] in another voice."""
    up, down = RATIOS[voice]
    if up == down:
        return audio
    return resample_poly(audio, up, down).astype(np.float32)


def in_voice(utterance: Utterance, voice: str) -> Utterance:
    """Return an utterance in another voice, letter times included."""
    up, down = RATIOS[voice]
    ends = utterance.ends * np.float32(up / down)
    return Utterance(utterance.text, resample(utterance.audio, voice), ends)


def speaker_vectors(hidden_size: int) -> NDArray[np.float32]:
    """Return the speaker vector of each voice [voices, hidden_size], exact in FP16."""
    rng = np.random.default_rng(SPEAKER_SEED)
    vectors = rng.standard_normal((len(VOICES), hidden_size))
    return vectors.astype(np.float16).astype(np.float32)
