"""Reading recordings: WAV with the standard library, FLAC, MP3 and others through soundfile."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..untrusted import brief_text

Floats = npt.NDArray[np.float32]

_PCM, _IEEE_FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# A minute of stereo 32-bit audio at 96 kHz; a voice sample is seconds.
_MAX_BYTES = 48 << 20


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
    """A recording with its channels averaged.

    WAV of 8, 16, 24 or 32-bit PCM or 32 or 64-bit float is read by itself; other formats need
    soundfile (``chattts-onnx[audio]``).  Raises :class:`InputError` on what cannot be read.
    """
    source = Path(path)
    try:
        with source.open("rb") as stream:
            head = stream.read(12)
        if source.stat().st_size > _MAX_BYTES:
            raise InputError(f"{source} has {source.stat().st_size} bytes; cut out some seconds.")
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            return parse_wav(source.read_bytes(), str(source))
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror or error}.") from error
    return _by_soundfile(source)


def parse_wav(data: bytes, where: str) -> Recording:
    """A WAV file's bytes; ``where`` is named in errors.  A cut-off end is left out."""
    form: bytes | None = None
    samples: bytes | None = None
    position = 12
    while position + 8 <= len(data) and samples is None:
        name, size = data[position : position + 4], *struct.unpack_from("<I", data, position + 4)
        body = data[position + 8 : position + 8 + size]
        if name == b"fmt ":
            form = body
        elif name == b"data":
            samples = body
        position += 8 + size + size % 2
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
        mono = values[: frames * channels].reshape(frames, channels).mean(axis=1, dtype=np.float64)
        return Recording(mono.astype(np.float32), int(rate))


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


def _by_soundfile(source: Path) -> Recording:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise InputError(
            f"{source} is no WAV file; other formats need soundfile. Install chattts-onnx[audio], "
            "or convert it to WAV."
        ) from error
    try:
        with soundfile.SoundFile(str(source)) as file:
            # Room is made for what the header says before a sample is read.
            size = 4 * file.frames * file.channels
            if size > _MAX_BYTES:
                raise InputError(f"{source} unpacks to {size} bytes; cut out some seconds.")
            audio, rate = file.read(dtype="float32", always_2d=True), file.samplerate
    except (RuntimeError, TypeError, ValueError, OSError) as error:
        raise InputError(f"{source} cannot be read as audio: {brief_text(error)}") from error
    with np.errstate(over="ignore", invalid="ignore"):
        return Recording(audio.mean(axis=1, dtype=np.float32), int(rate))
