from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import Bundle, InputError, Sample, VoiceError, write_wav
from chattts_onnx.audio.read import Recording
from chattts_onnx.speech.cloning import is_sample, load_sample, make_sample, save_sample


def speech(seconds: float, rate: int, level: float = 0.5) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    return level * np.sin(2 * np.pi * 200 * t) * (1 + np.sin(2 * np.pi * 3 * t)) / 2


def test_a_recording_of_another_rate_gives_the_same_codes(bundle: Bundle, tmp_path: Path) -> None:
    rate = bundle.sample_rate
    write_wav(tmp_path / "a.wav", speech(1.2, rate), rate, "float32")
    write_wav(tmp_path / "b.wav", speech(1.2, 44100, level=0.1), 44100, "float32")
    first = bundle.clone(tmp_path / "a.wav", "Good morning, 2 worlds")
    second = bundle.clone(tmp_path / "b.wav", "Good morning, 2 worlds")
    assert first.transcript == "Good morning, two worlds"
    audio = speech(1.2, rate)
    expected = bundle.encode_audio((audio * 0.9 / np.abs(audio).max())[None])[0]
    np.testing.assert_array_equal(first.codes, expected)
    assert first.codes.shape == second.codes.shape
    assert (first.codes == second.codes).mean() > 0.9  # level and rate make no difference


def test_it_is_spoken_with(bundle: Bundle) -> None:
    recording = Recording(speech(1, bundle.sample_rate).astype(np.float32), bundle.sample_rate)
    sample = make_sample(bundle, recording, "hello")
    plain = bundle.generate("good morning", seed=1).hidden[0]
    assert (
        np.abs(bundle.generate("good morning", seed=1, sample=sample).hidden[0] - plain).max()
        > 1e-3
    )


@pytest.mark.parametrize(
    ("seconds", "level", "transcript", "message"),
    [
        (0.5, 0.5, "hello", r"lasts 0\.5 s; expected 1 to 30"),
        (31, 0.5, "hello", r"lasts 31\.0 s"),
        (2, 0.0001, "hello", "is silent"),
        (2, float("nan"), "hello", "not finite"),
        (2, 0.5, " 😀 ", "transcript is empty"),
        (20, 0.5, "hello", "of the model's positions; expected at most 128"),
    ],
)
def test_limits_are_named(
    bundle: Bundle, seconds: float, level: float, transcript: str, message: str
) -> None:
    rate = bundle.sample_rate
    recording = Recording(speech(seconds, rate, level).astype(np.float32), rate)
    with pytest.raises(InputError, match=message):
        make_sample(bundle, recording, transcript)


def test_saved_and_read_again(bundle: Bundle, tmp_path: Path) -> None:
    codes = np.arange(4 * bundle.model.num_vq).reshape(4, -1) % bundle.model.end_token
    save_sample(tmp_path / "a.json", Sample("你好", codes))
    assert is_sample(tmp_path / "a.json") and not is_sample(tmp_path / "none.json")
    again = load_sample(bundle, tmp_path / "a.json")
    assert again.transcript == "你好"
    np.testing.assert_array_equal(again.codes, codes)
    for codes_ in ([[1, 2]], [[0] * bundle.model.num_vq, [99] * bundle.model.num_vq], []):
        (tmp_path / "b.json").write_text(f'{{"transcript": "x", "codes": {codes_}}}')
        with pytest.raises(VoiceError, match="codes of shape"):
            load_sample(bundle, tmp_path / "b.json")
    (tmp_path / "c.json").write_text('{"transcript": "x"}')
    with pytest.raises(VoiceError, match="cannot be read"):
        load_sample(bundle, tmp_path / "c.json")


def test_codes_beyond_any_integer_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    for codes in (f"[[{10**400}]]", "[" * 100_000):
        path.write_text(f'{{"transcript": "a", "codes": {codes}}}')
        with pytest.raises(VoiceError, match="cannot be read as a cloned voice"):
            load_sample(bundle, path)
