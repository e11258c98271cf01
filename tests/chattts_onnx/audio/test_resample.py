from __future__ import annotations

import tracemalloc

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


@pytest.mark.parametrize("rate", [0, -1, 1, 999, 768_001, 1_600_033, 2**32 - 1])
def test_rates_that_no_recording_has_are_named(rate: int) -> None:
    for rates in ((rate, 24_000), (24_000, rate)):
        with pytest.raises(InputError, match=f"{rate}.*expected 1000 to 768000"):
            resample(np.ones(100), *rates)


@pytest.mark.parametrize("rate", [400_009, 99_991, 47_999, 1009, 768_000, 192_000, 767_999, 1000])
def test_memory_is_bounded_at_any_rate(rate: int) -> None:
    """A minute at 400,009 Hz took 1.9 GB for its filters alone."""
    samples = np.sin(np.arange(2 * rate) * (2 * np.pi * 300 / rate)).astype(np.float32)
    tracemalloc.start()
    found = resample(samples, rate, 24_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20
    inner = slice(1500, -1500)
    np.testing.assert_allclose(found[inner], tone(24_000, 300, len(found))[inner], atol=2e-4)


def test_interpolated_phases_are_as_good_as_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = np.random.default_rng(1).standard_normal(4000).astype(np.float32)
    interpolated = resample(sound, 2999, 3000)
    monkeypatch.setattr("chattts_onnx.audio.resample._MAX_PHASES", 3000)
    exact = resample(sound, 2999, 3000)
    assert np.abs(interpolated - exact).max() < 2e-5


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InputError, match="audio has shape"):
        resample([[1.0]], 8000, 24000)
