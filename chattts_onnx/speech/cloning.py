"""Cloning a voice: a recording through the DVAE encoder, with its transcript."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..audio.read import Recording, read_audio
from ..audio.resample import resample
from ..errors import InputError, VoiceError
from ..text import TextOptions, normalize
from ..untrusted import brief, brief_text, parse_json, read_limited
from ..voices.files import write_bytes
from .options import Sample

if TYPE_CHECKING:
    from ..bundle import Bundle

Floats = npt.NDArray[np.float32]

# Shorter samples hold no voice; longer ones take the prompt's room and slow every step.
MIN_SECONDS, MAX_SECONDS = 1.0, 30.0
# Samples take some 10 bytes a code.
_MAX_SAMPLE_BYTES = 16 << 20
# Below this peak a recording is silence or a muted microphone (-54 dBFS).
_SILENT_PEAK = 0.002
_PEAK = 0.9


def make_sample(
    bundle: Bundle,
    recording: Path | str | Recording,
    transcript: str,
    options: TextOptions | None = None,
) -> Sample:
    """A sample to clone from a recording and what is said in it.

    Any sample rate, mono or stereo; the level is evened.  ``transcript`` is normalised as text is.
    Raises :class:`InputError` when the recording is too short, too long, silent or unreadable, or
    the transcript is empty.
    """
    spoken = normalize(transcript, options).text
    if not spoken:
        raise InputError("the transcript is empty; write down what is said in the recording.")
    name = "the recording" if isinstance(recording, Recording) else str(recording)
    found = recording if isinstance(recording, Recording) else read_audio(recording)
    check_recording(found, name)
    audio = resample(found.audio, found.sample_rate, bundle.sample_rate)
    audio = audio * (_PEAK / np.abs(audio).max())
    codes = bundle.encode_audio(audio[None])[0]
    room = bundle.model.max_position_embeddings // 2
    if len(codes) > room:
        raise InputError(
            f"{name} takes {len(codes)} of the model's positions; expected at most {room}. "
            "Cut out a part and its transcript."
        )
    return Sample(spoken, codes)


def check_recording(recording: Recording, name: str) -> None:
    """:class:`InputError` for what no voice can be taken from."""
    if not MIN_SECONDS <= recording.seconds <= MAX_SECONDS:
        raise InputError(
            f"{name} lasts {recording.seconds:.1f} s; expected {MIN_SECONDS:.0f} to "
            f"{MAX_SECONDS:.0f} s (3 to 15 are best)."
        )
    if not np.isfinite(recording.audio).all():
        raise InputError(f"{name} holds samples that are not finite; export it again.")
    peak = float(np.abs(recording.audio).max())
    if peak < _SILENT_PEAK:
        raise InputError(f"{name} is silent (peak {peak:.5f}); record it again, louder.")


def save_sample(path: Path | str, sample: Sample) -> None:
    """Write a sample as JSON, to clone from it again without the recording."""
    record = {"transcript": sample.transcript, "codes": sample.codes.tolist()}
    write_bytes(Path(path), (json.dumps(record, ensure_ascii=False) + "\n").encode())


def is_sample(path: Path | str) -> bool:
    """Whether a file is a sample that :func:`save_sample` wrote."""
    source = Path(path)
    if source.suffix.lower() != ".json" or not source.is_file():
        return False
    with source.open("rb") as stream:
        return stream.read(16).lstrip().startswith(b'{"transcript"')


def load_sample(bundle: Bundle, path: Path | str) -> Sample:
    """Read a sample; :class:`VoiceError` when it does not fit the bundle."""
    try:
        record: Any = parse_json(read_limited(Path(path), _MAX_SAMPLE_BYTES))
        transcript, codes = str(record["transcript"]), np.array(record["codes"], dtype=np.int64)
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise VoiceError(f"{path} cannot be read as a cloned voice: {brief_text(error)}") from error
    model = bundle.model
    fits = codes.ndim == 2 and codes.shape[1:] == (model.num_vq,) and len(codes) > 0
    if not fits or codes.min() < 0 or codes.max() >= model.end_token:
        raise VoiceError(
            f"{path} has codes of shape {brief(list(codes.shape))}; this bundle's have "
            f"{model.num_vq} "
            f"columns of 0 to {model.end_token - 1}. Clone the recording with this bundle."
        )
    return Sample(transcript, codes)
