"""Utterances for the tests of speech."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from chattts_onnx.hearing.scoring import score
from pipeline.speech.figures import Judgement
from pipeline.speech.utterances import Line, Utterance

DATA = Path(__file__).with_name("data")
TEXTS = {
    "603": "Now serving number six hundred three at window four.",
    "degrees": "Tomorrow will be rainy, with three degrees.",
}


def said(name: str, number: int = 0) -> Utterance:
    """A sentence of the teacher."""
    audio, rate = soundfile.read(DATA / f"{name}.flac", dtype="float32")
    line = Line(number, TEXTS[name], "en", voice=7, seed=number)
    return Utterance(line, audio, rate, finished=True)


def tone(
    seconds: float, number: int = 0, text: str = "one two three", **fields: object
) -> Utterance:
    """A quiet tone of 440 Hz in place of a sentence."""
    time = np.arange(int(seconds * 24_000)) / 24_000
    audio = (0.1 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    line = Line(number, text, "en", voice=7, seed=number)
    return replace(Utterance(line, audio, 24_000, finished=True), **fields)  # type: ignore[arg-type]


def judged(utterance: Utterance, heard: str, p808: float = 3.5) -> Judgement:
    """A judgement without judges; the voice is the first axis."""
    voice = np.eye(1, 256, dtype=np.float32)[0]
    errors = score(utterance.line.text, heard, utterance.line.language)
    return Judgement(utterance, heard, errors, p808, p808 - 0.5, voice)
