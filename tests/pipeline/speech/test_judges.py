from __future__ import annotations

import numpy as np
import pytest

from chattts_onnx.errors import HearingError
from chattts_onnx.hearing.listener import BUNDLED, ListenerConfig
from chattts_onnx.hearing.scoring import score
from pipeline.speech.judges import RATE, Listener, OpinionScore, VoiceEncoder, as_heard
from pipeline.speech.mel import mel_power
from tests.pipeline.speech.spoken import TEXTS, said

NAMES = sorted(TEXTS)


@pytest.fixture(scope="module")
def opinion() -> OpinionScore:
    return OpinionScore(1)


@pytest.fixture(scope="module")
def encoder() -> VoiceEncoder:
    return VoiceEncoder()


def heard(name: str) -> np.ndarray:
    utterance = said(name)
    return as_heard(utterance.audio, utterance.sample_rate)


def noisy(audio: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).standard_normal(len(audio)).astype(np.float32)
    return audio + 0.3 * float(audio.std()) * noise


def test_what_judges_hear_is_finite_and_within_bounds() -> None:
    audio = np.array([0.0, np.nan, np.inf, 3.0, -3.0, 0.5] * 100, np.float32)
    found = as_heard(audio, 24_000)
    assert len(found) == 400
    assert np.abs(found).max() <= 1.0


@pytest.mark.slow
def test_the_teacher_is_understood() -> None:
    listener = Listener(ListenerConfig(BUNDLED, "int8", 5), 1)
    assert listener.multilingual
    for name in NAMES:
        transcript = listener.transcript(heard(name), "en")
        assert score(TEXTS[name], transcript).word_errors == 0, transcript
    # cut off in the middle, most words are gone
    half = heard("603")
    transcript = listener.transcript(half[: len(half) // 2], "en")
    assert score(TEXTS["603"], transcript).word_errors >= 2


def test_an_unknown_listener_is_a_named_error(tmp_path: object) -> None:
    with pytest.raises(HearingError, match="cannot be loaded"):
        Listener(ListenerConfig(f"{tmp_path}/none such", "int8", 5), 1)


@pytest.mark.slow
def test_damage_lowers_the_opinion(opinion: OpinionScore) -> None:
    for name in NAMES:
        p808, overall = opinion(heard(name))
        assert p808 > 3.6
        assert overall > 3.0
        worse = opinion(noisy(heard(name)))
        assert worse[0] < p808 - 0.5
        assert worse[1] < overall - 0.5
    with pytest.raises(ValueError, match="no audio"):
        opinion(np.zeros(0, np.float32))


@pytest.mark.slow
def test_opinions_are_those_of_the_authors_script(opinion: OpinionScore) -> None:
    from speechmos import dnsmos

    long = np.concatenate([heard("603"), heard("degrees")] * 2)  # 10.8 s
    expected = dnsmos.run(long.astype(np.float64), RATE)
    assert opinion(long) == pytest.approx((expected["p808_mos"], expected["ovrl_mos"]), abs=1e-3)
    # a short one is averaged over shifted copies there
    expected = dnsmos.run(heard("603").astype(np.float64), RATE)
    found = opinion(heard("603"))
    assert found == pytest.approx((expected["p808_mos"], expected["ovrl_mos"]), abs=0.15)


@pytest.mark.slow
def test_mel_is_that_of_librosa() -> None:
    import librosa

    audio = heard("degrees")
    for n_fft, mels in ((321, 120), (400, 40)):
        expected = librosa.feature.melspectrogram(
            y=audio, sr=RATE, n_fft=n_fft, hop_length=160, n_mels=mels
        )
        found = mel_power(audio, RATE, n_fft, 160, mels)
        np.testing.assert_allclose(found.T, expected, rtol=1e-3, atol=1e-6 * expected.max())


@pytest.mark.slow
def test_one_voice_is_nearer_to_itself_than_to_another(encoder: VoiceEncoder) -> None:
    own, same = (encoder(heard(name)) for name in NAMES)
    higher = as_heard(said("degrees").audio, 20_000)  # slower to play, so this is a deeper voice
    other = encoder(higher)
    assert np.linalg.norm(own) == pytest.approx(1.0, abs=1e-5)
    assert own @ same > 0.75
    assert own @ other < own @ same - 0.05
    # loudness is no part of a voice
    assert encoder(0.1 * heard("603")) @ own > 0.999
