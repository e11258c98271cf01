"""Recordings in every WAV form, against the standard library and soundfile."""

from __future__ import annotations

import struct
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import InputError, write_wav
from chattts_onnx.audio.encode import make_encoder
from chattts_onnx.audio.read import mix, parse_wav, read_audio

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
        (wav(0x5544, 8, b"1234"), r"cannot be read as audio.*ffmpeg -i"),
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


@pytest.mark.parametrize("samples", [24_000, 40_961, 69_632, 30_001])
def test_flac_that_was_piped_has_no_length_and_is_read_whole(samples: int, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    path, sound = tmp_path / "a.flac", 0.5 * np.sin(np.arange(samples) * 0.1)
    soundfile.write(path, sound, RATE)
    data = bytearray(path.read_bytes())
    data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])
    path.write_bytes(bytes(data))
    np.testing.assert_allclose(read_audio(path).audio, sound, atol=1e-4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bits", [b"\x01\x00\xa0\x7f", b"\x00\x00\x80\x7f"])
def test_samples_that_are_not_finite_are_kept_without_a_warning(bits: bytes) -> None:
    form = struct.pack("<HHIIHH", 3, 1, RATE, RATE * 4, 4, 32)
    chunks = b"fmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", 4) + bits
    found = parse_wav(b"RIFF" + struct.pack("<I", 0) + b"WAVE" + chunks, "a.wav").audio
    assert not np.isfinite(found).any()


def chunk(name: bytes, body: bytes, size: int | None = None, pad: bytes | None = b"\0") -> bytes:
    length = len(body) if size is None else size
    return name + struct.pack("<I", length) + body + (pad or b"" if len(body) % 2 else b"")


SHORTS = (TONE * 32768).astype("<i2")
FORM = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
LIST = chunk(b"LIST", b"INFOISFT\x05\0\0\0Lavf\0")
BODIES = {
    "size 0": chunk(b"fmt ", FORM) + chunk(b"data", SHORTS.tobytes(), 0),
    "size of all ones": chunk(b"fmt ", FORM) + chunk(b"data", SHORTS.tobytes(), 0xFFFFFFFF),
    "size of a signed maximum": chunk(b"fmt ", FORM) + chunk(b"data", SHORTS.tobytes(), 0x7FFFFFFF),
    "size 0 behind others": chunk(b"fmt ", FORM) + LIST + chunk(b"data", SHORTS.tobytes(), 0),
    "odd without its pad": chunk(b"fmt ", FORM)
    + chunk(b"note", b"abc", pad=None)
    + chunk(b"data", SHORTS.tobytes()),
    "odd without its pad, then a size of all ones": chunk(b"fmt ", FORM)
    + chunk(b"note", b"abc", pad=None)
    + chunk(b"data", SHORTS.tobytes(), 0xFFFFFFFF),
    "odd with a pad that is no zero": chunk(b"fmt ", FORM)
    + chunk(b"note", b"abc", pad=b"x")
    + chunk(b"data", SHORTS.tobytes()),
    "samples before their format": chunk(b"data", SHORTS.tobytes()) + chunk(b"fmt ", FORM),
    "chunks behind": chunk(b"fmt ", FORM) + chunk(b"data", SHORTS.tobytes()) + LIST,
    "a longer format": chunk(b"fmt ", FORM + b"\0\0") + chunk(b"data", SHORTS.tobytes()),
    "JUNK first": chunk(b"JUNK", bytes(28))
    + chunk(b"fmt ", FORM)
    + chunk(b"data", SHORTS.tobytes()),
}


@pytest.mark.parametrize("riff", [None, 0, 0xFFFFFFFF])
@pytest.mark.parametrize("case", BODIES)
def test_unknown_lengths_and_odd_chunks(case: str, riff: int | None, tmp_path: Path) -> None:
    body = b"WAVE" + BODIES[case]
    size = len(body) if riff is None else riff
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", size) + body)
    found = read_audio(tmp_path / "a.wav")
    np.testing.assert_array_equal(found.audio, SHORTS / np.float32(32768))


def test_no_samples_are_none(tmp_path: Path) -> None:
    body = b"WAVE" + chunk(b"fmt ", FORM) + chunk(b"data", b"") + LIST
    (tmp_path / "a.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert len(read_audio(tmp_path / "a.wav").audio) == 0


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32"])
def test_telephone_encodings_in_wav(subtype: str, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(str(tmp_path / "a.wav"), TONE, RATE, subtype=subtype)
    found = read_audio(tmp_path / "a.wav")
    assert found.sample_rate == RATE and len(found.audio) >= len(TONE)
    error = found.audio[500 : len(TONE)] - TONE[500:]
    assert np.sqrt(np.mean(error**2)) < 0.05


CHANNELS = {
    "anti-phase": ([1, -1], 1.0),
    "nearly anti-phase": ([1, -0.95], 1.0),
    "both": ([1, 1], 1.0),
    "left alone": ([1, 0], 0.5),
    "right alone": ([0, 1], 0.5),
    "half against": ([1, -0.5], 0.25),
    "five with one reversed pair": ([1, -1, 0, 0, 0], 1.0),
    "mono": ([1], 1.0),
}


@pytest.mark.parametrize("case", CHANNELS)
def test_channels_do_not_cancel(case: str, tmp_path: Path) -> None:
    gains, expected = CHANNELS[case]
    sound = TONE[:, None] * np.array(gains, np.float32)
    np.testing.assert_allclose(mix(sound), TONE * expected, atol=1e-6)
    assert mix(np.zeros((0, len(gains)), np.float32)).shape == (0,)
    assert not mix(np.zeros((9, len(gains)), np.float32)).any()


RECORDERS = {
    "voice memo, m4a": ("a.m4a", "ipod", "aac", 44_100),
    "video, mp4": ("a.mp4", "mp4", "aac", 48_000),
    "aac": ("a.aac", "adts", "aac", 44_100),
    "browser, webm": ("a.webm", "webm", "libopus", 48_000),
    "matroska": ("a.mka", "matroska", "aac", 48_000),
    "old phone, amr": ("a.amr", "amr", "libopencore_amrnb", 8_000),
    "old phone, 3gp": ("a.3gp", "3gp", "libopencore_amrnb", 8_000),
    "QuickTime, mov": ("a.mov", "mov", "pcm_s16le", 22_050),
    "Windows, wma": ("a.wma", "asf", "wmav2", 44_100),
}


def record(path: Path, container: str, codec: str, rate: int, seconds: float = 1.0) -> None:
    """As a phone or browser writes it."""
    av = pytest.importorskip("av")
    sound = (0.5 * np.sin(np.arange(int(rate * seconds)) * (2 * np.pi * 400 / rate))).astype("<f4")
    bit_rate = 12_200 if "amr" in codec else 64_000
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout="mono", bit_rate=bit_rate)
        frame = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(
            stream.codec_context.format, "mono", rate, stream.codec_context.frame_size or 1024
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))


@pytest.mark.parametrize("recorder", RECORDERS)
def test_recordings_of_phones_and_browsers(recorder: str, tmp_path: Path) -> None:
    name, container, codec, rate = RECORDERS[recorder]
    record(tmp_path / name, container, codec, rate)
    found = read_audio(tmp_path / name)
    assert found.sample_rate == rate and abs(found.seconds - 1) < 0.1
    inner = found.audio[rate // 4 : rate * 3 // 4]
    assert abs(float(np.sqrt(np.mean(inner**2))) - 0.5 / np.sqrt(2)) < 0.06
    peak = int(np.abs(np.fft.rfft(inner)).argmax()) * rate / len(inner)
    assert abs(peak - 400) < 10


@pytest.mark.parametrize("recorder", RECORDERS)
def test_without_pyav_the_way_out_is_named(
    recorder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, container, codec, rate = RECORDERS[recorder]
    record(tmp_path / name, container, codec, rate)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match=r"chattts-onnx\[media\] for m4a.*ffmpeg -i"):
        read_audio(tmp_path / name)


def test_playlists_open_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("av")
    record(tmp_path / "secret.aac", "adts", "aac", 44_100)
    (tmp_path / "a.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/secret.aac\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "b.ffconcat").write_text("ffconcat version 1.0\nfile secret.aac\n")
    for name in ("a.m3u8", "b.ffconcat"):
        with pytest.raises(InputError, match="cannot be read as audio"):
            read_audio(tmp_path / name)


def test_a_video_of_hours_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path / "a.m4a", "ipod", "aac", 44_100, 5)
    monkeypatch.setattr("chattts_onnx.audio.read._MAX_BYTES", 400_000)
    with pytest.raises(InputError, match="unpacks to more than 400000 bytes"):
        read_audio(tmp_path / "a.m4a")


def test_a_crash_of_the_decoder_is_a_named_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "a.m4a", "ipod", "aac", 44_100, 1)
    (tmp_path / "av.py").write_text("import os\nos.kill(os.getpid(), 11)\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(InputError, match="cannot be read as audio"):
        read_audio(tmp_path / "a.m4a")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(InputError, match=r"crashed \(signal 11\)"):
        read_audio(tmp_path / "a.m4a")


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "opus"])
@pytest.mark.parametrize("samples", [24_000, 40_961, 69_632, 30_001])
@pytest.mark.parametrize("library", ["soundfile", "av"])
def test_what_the_server_streams_is_read_at_full_length(
    form: str, samples: int, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("soundfile")
    pytest.importorskip("av")
    sound = (0.5 * np.sin(np.arange(samples) * 0.1)).astype(np.float32)
    encoder = make_encoder(form, 24_000)
    parts = [encoder.encode(part) for part in np.array_split(sound, 7)]
    (tmp_path / f"a.{form}").write_bytes(b"".join([*parts, encoder.finish()]))
    monkeypatch.setitem(sys.modules, "av" if library == "soundfile" else "soundfile", None)
    found = read_audio(tmp_path / f"a.{form}")
    length = len(found.audio) * 24_000 / found.sample_rate
    if form in ("wav", "flac"):
        np.testing.assert_allclose(found.audio, sound, atol=1e-4)
    else:
        assert samples <= length + 400 and length < samples + 3000  # what encoders add
