from __future__ import annotations

import numpy as np
import pytest

from chattts_onnx import InputError
from chattts_onnx.audio.resample import resample

RATES = [8000, 16000, 22050, 24000, 44100, 48000, 96000, 11025, 23999]


def tone(rate: int, frequency: float, samples: int) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(samples) / rate)


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_stays_the_same_tone(rate: int) -> None:
    samples = rate // 4
    found = resample(tone(rate, 1000, samples), rate, 24000)
    assert found.dtype == np.float32 and len(found) == -(-samples * 24000 // rate)
    inner = slice(400, -400)
    np.testing.assert_allclose(found[inner], tone(24000, 1000, len(found))[inner], atol=1e-4)


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_what_the_lower_rate_cannot_hold_is_taken_out(rate: int) -> None:
    found = resample(tone(rate, 13000, rate // 4), rate, 24000)
    # 13 kHz would come back as 11 kHz.
    assert np.abs(found[400:-400]).max() < 1e-3


def test_constant_is_constant_and_lengths_round_up() -> None:
    np.testing.assert_allclose(resample(np.ones(999), 44100, 24000)[60:-60], 1, atol=1e-5)
    assert len(resample(np.ones(1), 44100, 24000)) == 1
    assert len(resample([], 44100, 24000)) == 0
    same = np.ones(5, dtype=np.float32)
    assert resample(same, 24000, 24000) is same


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InputError, match="sample rates are 0"):
        resample([1.0], 0, 24000)
    with pytest.raises(InputError, match="audio has shape"):
        resample([[1.0]], 8000, 24000)
    with pytest.raises(InputError, match="no ratio"):
        resample([1.0], 99991, 99989)
