"""Speech as a page holds it: compressed audio and a picture of its spectrogram, as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import SpeechError
from pipeline.fidelity.spectra import log_mel
from pipeline.speech.utterances import Utterance

Bytes = npt.NDArray[np.uint8]

# ln of the magnitudes that are drawn black and white
DARK, BRIGHT = -8.0, 2.0
_STOPS = ((0, 0, 4), (81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191))


def audio_uri(utterance: Utterance) -> str:
    """The audio as MP3, which every browser plays; empty where there is none.

    Raises:
        SpeechError: soundfile is not installed.
    """
    if utterance.empty:
        return ""
    try:
        import soundfile
    except ImportError as error:
        raise SpeechError(
            f"soundfile is not installed ({error}); expected it for the listening page: "
            "pip install 'chattts-onnx[speech]'."
        ) from error
    buffer = io.BytesIO()
    wave = np.clip(utterance.audio, -1.0, 1.0)
    soundfile.write(
        buffer, wave, utterance.sample_rate, format="MP3", bitrate_mode="VARIABLE",
        compression_level=0.6,
    )  # fmt: skip
    return _uri("audio/mpeg", buffer.getvalue())


def spectrogram_uri(utterance: Utterance) -> str:
    """The log-mel as a small picture, low tones at the bottom; empty where there is no sound."""
    if utterance.empty:
        return ""
    # with matplotlib
    from PIL import Image

    mel = log_mel(utterance.audio, utterance.sample_rate, hop_length=512, num_mels=64)
    shares = np.clip((mel - DARK) / (BRIGHT - DARK), 0.0, 1.0)
    pixels = np.ascontiguousarray(_colours()[np.round(shares[::-1] * 255).astype(int)])
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="WEBP", quality=55)
    return _uri("image/webp", buffer.getvalue())


def _colours() -> Bytes:
    """A scale [256, 3] from black over violet to light yellow."""
    places = np.linspace(0, 255, len(_STOPS))
    channels = [np.interp(np.arange(256), places, stop) for stop in zip(*_STOPS, strict=True)]
    result: Bytes = np.stack(channels, axis=-1).astype(np.uint8)
    return result


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
