"""What is done to speech that is made: lengths, pitch, levels, in chunks as in one piece."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from chattts_onnx import Bundle, InputError
from chattts_onnx.audio import sound
from chattts_onnx.audio.sound import HEARD, Sound, measure

pytest.importorskip("av")
RATE = 24_000


def tone(seconds: float, level: float = 0.1) -> np.ndarray:
    times = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * 220 * times)).astype(np.float32)


def pitch(audio: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio))))
    return float(spectrum.argmax() * RATE / len(audio))


def chunks(audio: np.ndarray, size: int) -> Iterator[np.ndarray]:
    yield from (audio[start : start + size] for start in range(0, len(audio), size))


def done(own: Sound, audio: np.ndarray, size: int | None = None) -> np.ndarray:
    return np.concatenate(list(own.apply(chunks(audio, size or len(audio)), RATE)))


@pytest.mark.parametrize("tempo", [0.25, 0.5, 0.8, 1.5, 2.0, 4.0])
def test_tempo_keeps_the_pitch(tempo: float) -> None:
    audio = tone(3)
    found = done(Sound(tempo=tempo), audio)
    assert len(found) == pytest.approx(len(audio) / tempo, rel=0.01)
    assert pitch(found) == pytest.approx(220, abs=2)


@pytest.mark.parametrize("semitones", [-12, -3, 4, 12])
def test_pitch_keeps_the_tempo(semitones: float) -> None:
    audio = tone(3)
    found = done(Sound(pitch=semitones), audio)
    assert len(found) == pytest.approx(len(audio), rel=0.01)
    assert pitch(found) == pytest.approx(220 * 2 ** (semitones / 12), rel=0.01)


@pytest.mark.parametrize(
    "own", [Sound(tempo=1.3), Sound(pitch=3, tempo=0.7), Sound(volume=6), Sound(loudness=-20)]
)
def test_chunks_are_as_the_whole(own: Sound) -> None:
    audio = tone(2)
    np.testing.assert_array_equal(done(own, audio, 1111), done(own, audio))


def test_volume_is_in_decibels_and_does_not_clip() -> None:
    np.testing.assert_allclose(done(Sound(volume=-6), tone(1)), tone(1) * 10**-0.3, atol=1e-5)
    assert np.abs(done(Sound(volume=40), tone(1))).max() <= 0.951


@pytest.mark.parametrize("target", [-16.0, -23.0])
@pytest.mark.parametrize("seconds", [0.3, 2.0, 8.0])
def test_loudness_is_reached(target: float, seconds: float) -> None:
    found = done(Sound(loudness=target), tone(seconds, 0.03), 9_000)
    assert measure(found, RATE) == pytest.approx(target, abs=1)


def test_loudness_of_a_known_signal() -> None:
    """EBU Tech 3341, case 1: a sine of 1 kHz at -23 dBFS in both channels is -23 LUFS; one channel
    has half of the power."""
    times = np.arange(20 * RATE) / RATE
    audio = (10 ** (-23 / 20) * np.sin(2 * np.pi * 1000 * times)).astype(np.float32)
    assert measure(audio, RATE) == pytest.approx(-23 - 3.01, abs=0.2)
    assert measure(np.zeros(RATE, np.float32), RATE) is None


def test_a_stream_waits_for_three_seconds_of_loudness_and_for_nothing_else() -> None:
    def taken(own: Sound) -> int:
        count = 0

        def counted() -> Iterator[np.ndarray]:
            nonlocal count
            for chunk in chunks(tone(8), 2_400):
                count += 1
                yield chunk

        next(own.apply(counted(), RATE))
        return count

    assert taken(Sound(volume=-3)) == 1
    assert taken(Sound(tempo=1.5)) <= 3
    assert taken(Sound(loudness=-20)) == round(HEARD * 10)


def test_nothing_is_done_unless_asked() -> None:
    assert Sound.of({"seed": 1}) is None
    assert Sound.of({"tempo": 1.0, "pitch": 0, "volume": None}) is None
    assert list(Sound(tempo=2).apply(iter([]), RATE)) == []


def test_what_is_missing_is_said_before_any_work(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound, "stretches", lambda: False)
    monkeypatch.setattr(bundle, "decoder", None)
    with pytest.raises(InputError, match=r"tempo, pitch needs PyAV.*chattts-onnx\[media\]"):
        bundle.stream("hello", tempo=2.0, pitch=1)
