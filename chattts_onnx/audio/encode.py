"""Audio formats as they are sent: while they grow, or, of FLAC, when all is there."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .formats import SOUNDFILE
from .wav import UNKNOWN_SIZE, to_pcm, wav_header

Floats = npt.NDArray[np.float32]

MEDIA_TYPES = {
    "wav": "audio/wav",
    "pcm": "audio/pcm",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg; codecs=opus",
}
# Bit rates by index, layer III of MPEG 1 and of MPEG 2 and 2.5.
_MPEG1_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBITS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


class PcmEncoder:
    """16-bit little-endian samples; as WAV after a header of unknown length."""

    def __init__(self, sample_rate: int, header: bool) -> None:
        self._head = wav_header(UNKNOWN_SIZE, sample_rate) if header else b""

    def encode(self, chunk: Floats) -> bytes:
        head, self._head = self._head, b""
        return head + to_pcm(chunk)

    def finish(self) -> bytes:
        return self._head


class SoundfileEncoder:
    """FLAC, MP3 or Opus by way of libsndfile, which writes into a file that is sent and forgotten.

    What it would go back for at the end (lengths and checksums in the header) is left as it was
    sent, as in every stream of unknown length.  FLAC is kept back until the end: libsndfile, and
    all that read by it, fail on a FLAC header without the length, or with any but the right one.
    """

    def __init__(self, sample_rate: int, form: str) -> None:
        try:
            import soundfile
        except (ImportError, OSError) as error:
            raise InputError(
                f"{form} needs soundfile on the server (chattts-onnx[audio]); ask for wav or pcm."
            ) from error
        container, encoding = SOUNDFILE[form]
        self._pipe = _Pipe()
        self._whole = io.BytesIO() if form == "flac" else None
        # libsndfile's Ogg writer keeps a whole write on its stack.
        self._block = sample_rate // 2
        # Without a length in the header, players reckon it from the bit rate of the first frame.
        # (soundfile heeds the mode only together with a level.)
        constant = {"bitrate_mode": "CONSTANT", "compression_level": 0.5}
        rate: dict[str, Any] = constant if form == "mp3" else {}
        self._file: Any = soundfile.SoundFile(
            self._whole or self._pipe, "w", sample_rate, 1, encoding, format=container, **rate
        )
        self._rate = sample_rate
        self._placeholder = form == "mp3"

    def encode(self, chunk: Floats) -> bytes:
        clipped = np.clip(chunk, -1.0, 1.0)
        for start in range(0, len(clipped), self._block):
            self._file.write(clipped[start : start + self._block])
        return self._take()

    def finish(self) -> bytes:
        self._file.close()
        return self._whole.getvalue() if self._whole else self._take()

    def _take(self) -> bytes:
        data = self._pipe.take()
        if self._placeholder and data:
            # An empty frame for the length, which is never filled in: players would believe it.
            data, self._placeholder = data[mp3_frame_bytes(data, self._rate) :], False
        return data


def mp3_frame_bytes(data: bytes, sample_rate: int) -> int:
    """Length of the MPEG layer III frame at the start of ``data`` (ISO 11172-3, 13818-3)."""
    first = data[1] >> 3 & 3 == 3
    kbits = _MPEG1_KBITS if first else _MPEG2_KBITS
    return (144 if first else 72) * 1000 * kbits[data[2] >> 4] // sample_rate + (data[2] >> 1 & 1)


class _Pipe:
    """A file object for libsndfile: takes what is appended, drops what is written over."""

    def __init__(self) -> None:
        self._fresh = bytearray()
        self._end = 0
        self._place = 0

    def write(self, data: Any) -> int:
        block = bytes(data)
        skip = max(0, self._end - self._place)
        self._fresh += block[skip:]
        self._place += len(block)
        self._end = max(self._end, self._place)
        return len(block)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + (0, self._place, self._end)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, _: int = -1) -> bytes:
        return b""

    def flush(self) -> None:
        return None

    def take(self) -> bytes:
        fresh, self._fresh = bytes(self._fresh), bytearray()
        return fresh


def make_encoder(form: str, sample_rate: int) -> PcmEncoder | SoundfileEncoder:
    """An encoder; :class:`InputError` for formats that are not made here."""
    if form in ("wav", "pcm"):
        return PcmEncoder(sample_rate, header=form == "wav")
    if form not in SOUNDFILE:
        raise InputError(f"no audio format {form!r}; expected one of {', '.join(MEDIA_TYPES)}.")
    return SoundfileEncoder(sample_rate, form)
