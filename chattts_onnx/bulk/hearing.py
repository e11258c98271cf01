"""A recogniser over bulk work: pieces that are heard as something else are drawn again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import HearingError, InputError
from ..hearing.listener import BUNDLED, Listener, ListenerConfig, as_heard
from ..hearing.scoring import score
from ..text.core.language import own_language
from ..text.core.tags import TAG

Floats = npt.NDArray[np.float32]

_BEAM = 5


class Check:
    """Whisper base hears each piece; above ``limit`` (errors over words, or over Mandarin
    syllables without tones) the piece is wrong.
    """

    def __init__(self, limit: float, threads: int = 1) -> None:
        if not 0 < limit <= 1:
            raise InputError(f"check is {limit}; expected a share of errors above 0, at most 1.")
        self.limit = limit
        self._listener = Listener(ListenerConfig(BUNDLED, "int8", _BEAM), threads)
        try:
            import opencc  # noqa: F401
            import pypinyin  # noqa: F401
        except ImportError as error:
            raise HearingError(
                f"{error.name} is not installed; expected what tells Mandarin syllables: "
                "pip install 'chattts-onnx[check]'."
            ) from error

    def errors(self, text: str, audio: Floats, sample_rate: int) -> float:
        """Share of the words of ``text``, as it is spoken, that are not heard in ``audio``."""
        words = TAG.sub(" ", text)
        language = own_language(words) or "en"
        heard = self._listener.transcript(as_heard(audio, sample_rate), language)
        found = score(words, heard, language)
        count = found.syllables or found.words
        return (found.syllable_errors or found.word_errors) / count if count else 0.0
