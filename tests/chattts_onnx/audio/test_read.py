"""Recordings in every WAV form, against the standard library and soundfile."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import InputError, write_wav
from chattts_onnx.audio.read import parse_wav, read_audio

RATE = 8000
TONE = (0.5 * np.sin(np.arange(4000) * 0.1)).astype(np.float32)


def pcm(path: Path, width: int, channels: int = 1) -> None:
    """Written by the standard library, from integers made here."""
    scale = 2 ** (8 * width - 1)
    values = np.round(TONE.astype(np.float64) * (scale - 1)).astype(np.int64)
    if width == 1:
        data = (values + 128).astype(np.uint8).tobytes()
    else:
        data = b"".join(int(v).to_bytes(width, "little", signed=True) for v in values)
    if channels == 2:  # the right channel is silent
        silence = b"\x80" if width == 1 else b"\0" * width
        parts = [data[i : i + width] + silence for i in range(0, len(data), width)]
        data = b"".join(parts)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(RATE)
        file.writeframes(data)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_pcm(tmp_path: Path, width: int, channels: int) -> None:
    pcm(tmp_path / "a.wav", width, channels)
    found = read_audio(tmp_path / "a.wav")
    assert found.sample_rate == RATE and found.seconds == 0.5
    np.testing.assert_allclose(found.audio, TONE / channels, atol=2.0 ** (1 - 8 * min(width, 3)))


def test_float_and_what_this_package_writes(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", TONE, RATE, "float32")
    np.testing.assert_array_equal(read_audio(tmp_path / "a.wav").audio, TONE)


def wav(code: int, bits: int, data: bytes, *, extra: bytes = b"", size: int | None = None) -> bytes:
    form = struct.pack("<HHIIHH", code, 1, RATE, RATE * bits // 8, bits // 8, bits) + extra
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"LIST\x03\0\0\0abc\0"  # an odd chunk is padded
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_extensible_double_and_streamed_sizes() -> None:
    doubles = TONE.astype("<f8").tobytes()
    np.testing.assert_array_equal(parse_wav(wav(3, 64, doubles), "a").audio, TONE)
    guid = struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)
    shorts = (TONE * 32768).astype("<i2").tobytes()
    expected = np.frombuffer(shorts, "<i2") / np.float32(32768)
    np.testing.assert_array_equal(
        parse_wav(wav(0xFFFE, 16, shorts, extra=guid), "a").audio, expected
    )
    # A recorder that was killed leaves a length of all ones, and half a sample.
    cut = parse_wav(wav(1, 16, shorts[:-1], size=0xFFFFFFFF), "a")
    np.testing.assert_array_equal(cut.audio, expected[:-1])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (wav(2, 8, b"1234"), "8-bit audio of WAV format 2"),
        (wav(1, 12, b"1234"), "12-bit"),
        (b"RIFF\0\0\0\0WAVE", "no complete WAV"),
        (b"RIFF\0\0\0\0WAVEfmt \x04\0\0\0abcd", "no complete WAV"),
        (wav(1, 16, b"")[:20], "no complete WAV"),
    ],
)
def test_damage_is_named(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_audio(tmp_path / "a.wav")


def test_other_formats_by_soundfile(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    stereo = np.stack([TONE, np.zeros_like(TONE)], axis=1)
    soundfile.write(str(tmp_path / "a.flac"), stereo, RATE)
    found = read_audio(tmp_path / "a.flac")
    np.testing.assert_allclose(found.audio, TONE / 2, atol=1e-4)
    (tmp_path / "b.mp3").write_bytes(b"no audio at all")
    with pytest.raises(InputError, match="cannot be read as audio"):
        read_audio(tmp_path / "b.mp3")


def test_missing_soundfile_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "soundfile", None)
    (tmp_path / "b.mp3").write_bytes(b"ID3")
    with pytest.raises(InputError, match=r"chattts-onnx\[audio\]"):
        read_audio(tmp_path / "b.mp3")
    with pytest.raises(InputError, match="cannot be read"):
        read_audio(tmp_path / "none.wav")


def test_a_header_that_claims_hours_makes_no_room_for_them(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "a.flac"
    soundfile.write(path, TONE, RATE)
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F  # of STREAMINFO: the upper bits of the number of samples
    data[22:26] = b"\xff" * 4
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="unpacks to 274877906940 bytes"):
        read_audio(path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bits", [b"\x01\x00\xa0\x7f", b"\x00\x00\x80\x7f"])
def test_samples_that_are_not_finite_are_kept_without_a_warning(bits: bytes) -> None:
    form = struct.pack("<HHIIHH", 3, 1, RATE, RATE * 4, 4, 32)
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", 4) + bits
    found = parse_wav(b"RIFF" + struct.pack("<I", 0) + b"WAVE" + chunks, "a.wav").audio
    assert not np.isfinite(found).any()
