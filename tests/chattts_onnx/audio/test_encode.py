from __future__ import annotations

import io

import numpy as np
import pytest

from chattts_onnx.audio.encode import MEDIA_TYPES, make_encoder, mp3_frame_bytes
from chattts_onnx.audio.wav import to_pcm, wav_header
from chattts_onnx.errors import InputError

RATE = 24_000
TONE = (0.5 * np.sin(np.arange(3 * RATE) * 2 * np.pi * 440 / RATE)).astype(np.float32)
CUTS = [3000, 9000, 40_000]


def encode(form: str, rate: int = RATE) -> list[bytes]:
    encoder = make_encoder(form, rate)
    return [*map(encoder.encode, np.array_split(TONE, CUTS)), encoder.finish()]


def test_wav_is_pcm_behind_a_streaming_header() -> None:
    pcm = to_pcm(TONE)
    assert b"".join(encode("pcm")) == pcm
    assert b"".join(encode("wav")) == wav_header(0xFFFFFFFF, RATE) + pcm


def test_wav_of_nothing_is_a_header() -> None:
    assert len(make_encoder("wav", RATE).finish()) == 44


@pytest.mark.parametrize("form", ["flac", "mp3", "opus"])
@pytest.mark.parametrize("rate", [RATE, 8000])
def test_encoded_streams_start_early_and_decode_to_the_tone(form: str, rate: int) -> None:
    soundfile = pytest.importorskip("soundfile")
    parts = encode(form, rate)
    if form == "flac":  # its header holds its length, and readers want it
        assert not any(parts[:-1])
    else:  # something to send with the first chunk, and most of it before the end
        assert len(parts[0]) > 0 and sum(map(len, parts[:-1])) > len(parts[-1])
    audio, found = soundfile.read(io.BytesIO(b"".join(parts)), dtype="float32")
    assert found == rate or form == "opus"
    assert len(audio) * rate / found >= len(TONE)
    assert form != "flac" or np.allclose(audio, TONE, atol=1e-4)
    spectrum = np.abs(np.fft.rfft(audio[20_000:40_000]))
    assert abs(int(spectrum.argmax()) / 20_000 - 440 / RATE * rate / found) < 1e-4


def test_mp3_has_no_empty_frame_that_claims_a_length() -> None:
    pytest.importorskip("soundfile")
    data = b"".join(encode("mp3"))
    size = mp3_frame_bytes(data, RATE)
    assert data[0] == 0xFF and data[size] == 0xFF  # one whole frame, then the next
    assert any(data[4:size])


@pytest.mark.parametrize("form", ["flac", "mp3", "opus"])
@pytest.mark.parametrize("samples", [RATE, RATE + 100, 2 * RATE + 777])
def test_the_last_samples_are_in_the_stream(form: str, samples: int) -> None:
    soundfile = pytest.importorskip("soundfile")
    marked = np.zeros(samples, dtype=np.float32)
    marked[:200] = marked[-200:] = 0.5 * np.sin(np.arange(200) * 0.5)
    encoder = make_encoder(form, RATE)
    parts = [encoder.encode(part) for part in np.array_split(marked, 7)]
    audio, rate = soundfile.read(io.BytesIO(b"".join([*parts, encoder.finish()])))
    loud = np.flatnonzero(np.abs(audio) > 0.1)
    assert abs((loud[-1] - loud[0]) * RATE / rate - samples) < 20


def test_unknown_format_is_named() -> None:
    with pytest.raises(InputError, match="no audio format 'aac'; expected one of wav, pcm"):
        make_encoder("aac", RATE)
    assert set(MEDIA_TYPES) == {"wav", "pcm", "flac", "mp3", "opus"}
