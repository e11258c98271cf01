from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chattts_onnx import Bundle, InputError, VoiceError
from chattts_onnx.voices import base16384
from chattts_onnx.voices import vectors as voices
from chattts_onnx.voices.collection import VoiceShelf

SIZE = 768


@given(data=st.binary(max_size=200))
def test_base16384_round_trip(data: bytes) -> None:
    text = base16384.encode(data)
    assert base16384.decode(text) == data
    assert len(text) == -(-len(data) * 8 // 14) + bool(len(data) % 7)


def test_base16384_by_hand() -> None:
    # 7 bytes of ones are four characters of 14 ones; one byte is left-aligned in 14 bits.
    assert base16384.encode(b"\xff" * 7) == "\u8dff" * 4
    assert base16384.encode(b"\x01") == chr(0x4E00 + (1 << 6)) + "\u3d01"
    assert base16384.encode(b"\x00" * 6) == "\u4e00" * 4 + "\u3d06"


@pytest.mark.parametrize("text", ["abc", "\u4e00" * 3, "\u4e00\u3d03", "\u3d01", "\u3d04\u4e00"])
def test_base16384_refuses_damage(text: str) -> None:
    with pytest.raises(InputError):
        base16384.decode(text)


def test_text_form_round_trip_is_exact_in_fp16() -> None:
    vector = voices.random_speaker(3, SIZE)
    text = voices.encode_speaker(vector)
    assert all("\u4e00" <= c <= "\u8dff" or "\u3d01" <= c <= "\u3d06" for c in text)
    back = voices.decode_speaker(text + "\n", SIZE)
    np.testing.assert_array_equal(back, vector.astype(np.float16).astype(np.float32))


def test_text_form_refuses_damage_and_other_lengths() -> None:
    text = voices.encode_speaker(voices.random_speaker(3, SIZE))
    with pytest.raises(VoiceError):
        voices.decode_speaker(text[: len(text) // 2], SIZE)
    with pytest.raises(VoiceError, match=r"shape \[768\]"):
        voices.decode_speaker(text, 192)
    with pytest.raises(VoiceError):
        voices.encode_speaker([1e9])


def test_random_voice_by_seed_and_statistics() -> None:
    first, again, other = (voices.random_speaker(s, 4000) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1
    std = np.full(4000, 3, dtype=np.float16)
    mean = np.full(4000, 5, dtype=np.float16)
    text = base16384.encode(np.concatenate([std, mean]).tobytes())
    statistics = voices.SpeakerStatistics.from_text(text, 4000)
    drawn = voices.random_speaker(1, 4000, statistics)
    assert drawn.mean() == pytest.approx(5, abs=0.2) and drawn.std() == pytest.approx(3, abs=0.2)
    with pytest.raises(VoiceError, match="statistics hold"):
        voices.SpeakerStatistics.from_text(text, SIZE)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.csv", "1\n2\n3"),
        ("v.csv", "1\nx"),
        ("v.json", "{"),
        ("v.json", '{"tensor": "abc"}'),
        ("v.json", "[" + "0," * 767 + "0]"),
        ("v.json", "[" + "1," * 767 + "NaN]"),
        ("v.txt", "not a voice"),
        ("v.npy", "garbage"),
    ],
)
def test_unusable_files_are_named(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(VoiceError):
        voices.load_speaker(tmp_path / name, SIZE)


def test_bundle_finds_voices(bundle: Bundle, tmp_path: Path) -> None:
    size = bundle.model.hidden_size
    assert bundle.speaker(None) is None
    anna = bundle.speaker("anna")
    assert anna is not None and anna[0] == -1 and len(anna) == size
    np.testing.assert_array_equal(bundle.speaker(7), bundle.speaker("7"))
    np.testing.assert_array_equal(bundle.speaker(np.ones(size)), np.ones(size))
    (tmp_path / "many.json").write_text(json.dumps({"b": [1.0] * size, "c": [2.0] * size}))
    picked = bundle.speaker(f"{tmp_path / 'many.json'}#c")
    assert picked is not None and picked[0] == 2
    with pytest.raises(VoiceError, match=r"no voice 'bob'.*anna"):
        bundle.speaker("bob")
    with pytest.raises(VoiceError, match="the voice has shape"):
        bundle.speaker(np.ones(size + 1))


@pytest.mark.parametrize("voice", ["x" * 300, "9" * 5000, "a\0b", "\ud800"])
def test_odd_strings_are_no_voices(bundle: Bundle, voice: str) -> None:
    with pytest.raises(VoiceError) as caught:
        bundle.speaker(voice)
    assert len(str(caught.value)) < 1000


def test_long_texts_take_time_in_proportion(tmp_path: Path) -> None:
    """One number of all bits would take minutes for this."""
    data = bytes(range(256)) * 4096
    text = base16384.encode(data)
    assert base16384.decode(text) == data
    with pytest.raises(VoiceError, match="far more than a voice"):
        voices.decode_speaker(text * 2, 8)


def test_damaged_statistics_are_named(tmp_path: Path) -> None:
    (tmp_path / "statistics.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(VoiceError, match=r"statistics\.txt cannot be read"):
        VoiceShelf(tmp_path, 8).vector(3)
