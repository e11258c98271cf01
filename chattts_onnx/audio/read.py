"""Reading recordings: WAV with the standard library, others through soundfile or PyAV.

soundfile reads WAV of telephones (G.711, ADPCM), FLAC, MP3, Ogg and AIFF; PyAV, whose wheels hold
ffmpeg's libraries, what phones and browsers record: m4a, mp4, aac, webm, amr.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..untrusted import brief_text, stand_in
from .media import decode_media

Floats = npt.NDArray[np.float32]

_PCM, _IEEE_FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_USUAL = (b"fmt ", b"data", b"LIST", b"fact")
# A minute of stereo 32-bit audio at 96 kHz; a voice sample is seconds.
_MAX_BYTES = 48 << 20
# Below this part of its channels' power a mean of them has lost what is in them: one is the other
# with its sign changed.  That of many different channels keeps more.
_CANCELLED = 0.02
_BLOCK = 1 << 16
# What libsndfile calls the length of a stream whose header has none.
_UNKNOWN_FRAMES = 2**63 - 1
_NEEDS = (
    "install chattts-onnx[audio] for FLAC, MP3, Ogg and telephone WAV, chattts-onnx[media] for "
)
_NEEDS += "m4a, mp4, aac, webm and amr, or convert it: ffmpeg -i FILE -ac 1 -ar 24000 voice.wav"


@dataclass(frozen=True)
class Recording:
    """Mono ``audio`` float32 [samples] in -1..1 at ``sample_rate``."""

    audio: Floats
    sample_rate: int

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.audio) / self.sample_rate


def read_audio(path: Path | str) -> Recording:
    """A recording as one channel.

    WAV of 8, 16, 24 or 32-bit PCM or 32 or 64-bit float is read by itself; other formats need
    soundfile (``chattts-onnx[audio]``) or PyAV (``chattts-onnx[media]``).  Raises
    :class:`InputError` on what cannot be read.
    """
    source = Path(path)
    try:
        with source.open("rb") as stream:
            head = stream.read(512)
        if source.stat().st_size > _MAX_BYTES:
            raise InputError(f"{source} has {source.stat().st_size} bytes; cut out some seconds.")
        if (found := stand_in(head)) is not None:
            raise InputError(f"{source} is {found}.")
        if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
            data = source.read_bytes()
            if wav_code(data) in (_PCM, _IEEE_FLOAT, None):
                return parse_wav(data, str(source))
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror or error}.") from error
    return _by_library(source)


def wav_code(data: bytes) -> int | None:
    """Format code of a WAV file, that of the extension where it has one; None without any."""
    form = dict(_chunks(data)).get(b"fmt ", b"")
    if len(form) < 16:
        return None
    code = int(struct.unpack_from("<H", form)[0])
    extended = code == _EXTENSIBLE and len(form) >= 26
    return int(struct.unpack_from("<H", form, 24)[0]) if extended else code


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of a WAV file's chunks; one that is too long ends with the file.

    Who records into a pipe writes 0 or 0xFFFFFFFF as the length of the samples, and some leave the
    byte out that follows an odd chunk.
    """
    position = 12
    while position + 8 <= len(data):
        name, size = data[position : position + 4], *struct.unpack_from("<I", data, position + 4)
        position += 8
        if name == b"data" and not size and not _is_chunk(data, position):
            size = len(data) - position
        yield name, data[position : position + size]
        position += size
        padded = _is_chunk(data, position + 1) or not _is_chunk(data, position)
        if size % 2 and padded and data[position : position + 4] not in _USUAL:
            position += 1


def _is_chunk(data: bytes, position: int) -> bool:
    """Whether a chunk may begin here: four printable characters and a length that fits."""
    name, size = data[position : position + 4], data[position + 4 : position + 8]
    fits = len(size) == 4 and int.from_bytes(size, "little") <= len(data) - position - 8
    return (fits or name == b"data") and name.isascii() and name.decode("latin-1").isprintable()


def parse_wav(data: bytes, where: str) -> Recording:
    """A WAV file's bytes; ``where`` is named in errors.  A cut-off end is left out."""
    form: bytes | None = None
    samples: bytes | None = None
    for name, body in _chunks(data):
        if name == b"fmt ":
            form = body
        elif name == b"data" and samples is None:
            samples = body
        if form is not None and samples is not None:
            break
    if form is None or samples is None or len(form) < 16:
        raise InputError(f"{where} is no complete WAV file: its format or samples are missing.")
    code, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", form)
    if code == _EXTENSIBLE and len(form) >= 26:
        code = struct.unpack_from("<H", form, 24)[0]
    if not channels or not rate or not block:
        raise InputError(f"{where} is a damaged WAV file: {channels} channels at {rate} Hz.")
    # Samples that are not finite stay so, for the caller to name.
    with np.errstate(over="ignore", invalid="ignore"):
        values = _decode(samples, code, bits, where)
        frames = len(values) // channels
        return Recording(mix(values[: frames * channels].reshape(frames, channels)), int(rate))


def mix(channels: npt.NDArray[np.floating]) -> Floats:
    """Channels [samples, channels] as one float32 [samples]: their mean.

    Where the mean cancels what is in them, as it does of a microphone that was connected the wrong
    way round, the loudest channel.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean = channels.mean(axis=1, dtype=np.float64)
        if channels.shape[1] > 1 and len(mean):
            power = np.square(channels, dtype=np.float64).mean(axis=0)
            if np.square(mean).mean() < _CANCELLED * power.mean():
                mean = channels[:, int(power.argmax())]
        return mean.astype(np.float32)


def _decode(data: bytes, code: int, bits: int, where: str) -> npt.NDArray[np.floating]:
    width = bits // 8
    data = data[: len(data) // width * width] if width else b""
    if code == _PCM and bits == 8:
        return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    if code == _PCM and bits == 24:
        low = np.zeros((len(data) // 3, 4), dtype=np.uint8)
        low[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return (low.view("<i4").reshape(-1) / 2**31).astype(np.float32)
    if code == _PCM and bits in (16, 32):
        return np.frombuffer(data, f"<i{width}").astype(np.float64) / 2 ** (bits - 1)
    if code == _IEEE_FLOAT and bits in (32, 64):
        return np.frombuffer(data, f"<f{width}").astype(np.float64)
    raise InputError(
        f"{where} holds {bits}-bit audio of WAV format {code}; expected PCM of 8, 16, 24 or 32 "
        "bits or float. Convert it to 16-bit PCM."
    )


def _by_library(source: Path) -> Recording:
    """By soundfile, else by PyAV; the error of the first that is installed."""
    problem: Exception | None = None
    for read in (_by_soundfile, _by_av):
        try:
            audio, rate = read(source)
            return Recording(mix(audio), rate)
        except ImportError:
            continue
        except InputError:
            raise
        except Exception as error:  # the libraries have many kinds of their own
            problem = problem or error
    reason = f" ({brief_text(problem)})" if problem else ""
    raise InputError(f"{source} cannot be read as audio{reason}; {_NEEDS}.") from problem


def _by_soundfile(source: Path) -> tuple[Floats, int]:
    """Samples [samples, channels] and their rate; ``ImportError`` where it is not installed."""
    try:
        import soundfile
    except OSError as error:  # libsndfile itself is missing
        raise ImportError(str(error)) from error
    with soundfile.SoundFile(str(source)) as file:
        rate, frames, channels = int(file.samplerate), int(file.frames), int(file.channels)
        # Room is made for what the header says before a sample is read.
        if frames != _UNKNOWN_FRAMES:
            _require_little(source, frames * channels)
            return _blocks(file, source), rate
    count = _length(soundfile, source)
    _require_little(source, count * channels)
    with soundfile.SoundFile(io.BytesIO(_with_length(source.read_bytes(), count))) as file:
        return _blocks(file, source), rate


def _blocks(file: Any, source: Path) -> Floats:
    """All samples, also of a file that can't be sought in and so has no length to read at once."""
    blocks, count = [np.zeros((0, file.channels), np.float32)], 0
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        blocks.append(block)
        count += block.size
        _require_little(source, count)
    return np.concatenate(blocks)


def _length(soundfile: Any, source: Path) -> int:
    """Number of samples of a FLAC stream whose header has none, as servers send it.

    libsndfile gives nothing of a read that reaches the end of one, so reads are halved until one
    sample is left.
    """
    count, size = 0, _BLOCK
    while size:
        try:
            with soundfile.SoundFile(str(source)) as file:
                file.read(count)
                while (got := len(file.read(size))) == size:
                    count += size
            return count + got
        except soundfile.LibsndfileError:
            size //= 2
    return count + 1


def _with_length(data: bytes, samples: int) -> bytes:
    """A FLAC stream with its length in the 36 bits that STREAMINFO has for it (RFC 9639, 8.2)."""
    start, header = data[:21], int.from_bytes(data[21:26], "big")
    header = header >> 36 << 36 | samples
    return start + header.to_bytes(5, "big") + data[26:]


def _by_av(source: Path) -> tuple[Floats, int]:
    """As :func:`_by_soundfile`, by ffmpeg's libraries."""
    try:
        return decode_media(source, _MAX_BYTES)
    except OverflowError:
        raise InputError(
            f"{source} unpacks to more than {_MAX_BYTES} bytes; cut out some seconds."
        ) from None


def _require_little(source: Path, samples: int) -> None:
    if 4 * samples > _MAX_BYTES:
        raise InputError(
            f"{source} unpacks to {4 * samples} bytes, of {_MAX_BYTES} that are read; cut out some "
            "seconds."
        )
