from __future__ import annotations

import io
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import InputError
from chattts_onnx.audio import wav as wavefile


def test_int16_is_read_by_the_standard_library() -> None:
    audio = np.array([0, 0.5, -0.5, 1, -1, 2, -2], dtype=np.float32)
    with wave.open(io.BytesIO(wavefile.to_bytes(audio, 24000))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24000)
        samples = np.frombuffer(file.readframes(99), dtype="<i2")
    assert samples.tolist() == [0, 16384, -16384, 32767, -32767, 32767, -32767]


def test_float32_layout() -> None:
    audio = np.linspace(-2, 2, 9, dtype=np.float32)
    data = wavefile.to_bytes(audio, 8000, "float32")
    assert data[:4] == b"RIFF" and struct.unpack("<I", data[4:8])[0] == len(data) - 8
    size, code, channels, rate = struct.unpack("<IHHI", data[16:28])
    assert (size, code, channels, rate) == (18, 3, 1, 8000)
    assert data[38:42] == b"fact" and struct.unpack("<I", data[46:50])[0] == 9
    np.testing.assert_array_equal(np.frombuffer(data[-36:], dtype="<f4"), audio)


def test_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    wavefile.write_wav(target, np.zeros(5), 24000)
    before = target.read_bytes()
    with pytest.raises(InputError, match="finite"):
        wavefile.write_wav(target, [np.nan], 24000)
    with pytest.raises(InputError, match="cannot be written"):
        wavefile.write_wav(tmp_path / "none" / "a.wav", np.zeros(5), 24000)
    with pytest.raises(InputError, match="sample_format"):
        wavefile.write_wav(target, np.zeros(5), 24000, "int24")
    assert target.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]
