"""A bundle as an MLflow model: text in, WAV files out.

MLflow copies this file and ``chattts_onnx`` into the model ("models from code"), so a loaded model
needs numpy, onnxruntime and tokenizers besides MLflow, and nothing of the pipeline.
"""

from __future__ import annotations

from typing import Any

import pandas
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from chattts_onnx import InputError, open_bundle
from chattts_onnx.audio.wav import to_bytes
from chattts_onnx.speech.options import SpeechOptions, absent, read_options

BUNDLE = "bundle"


class SpeechModel(PythonModel):
    """Rows of ``text`` (and options) to rows of ``wav`` (bytes), ``sample_rate``, ``seconds``."""

    # MLflow would ask for annotations, whatever filters say, though the model has a signature.
    _skip_type_hint_validation = True

    def load_context(self, context: PythonModelContext) -> None:
        """Open the bundle; every file is compared with its manifest."""
        self.bundle = open_bundle(context.artifacts[BUNDLE])

    # Without annotations: MLflow would take them for a schema, and the model has one.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Speak every row.

        Args:
            context: of MLflow; not used, the bundle is open.
            model_input: a table with the column ``text`` and any of ``voice`` (a seed or a name)
                and the options of ``chattts_onnx.speech.options``; a null is the same as no column.
            params: the same options, of all rows that say nothing else.

        Raises:
            InputError: a row has no text, or an option is out of range.
        """
        shared = read_options(params or {})
        rows = pandas.DataFrame(model_input).to_dict("records")
        return pandas.DataFrame([self._speak(row, shared) for row in rows])

    def _speak(self, row: dict[str, Any], shared: SpeechOptions) -> dict[str, Any]:
        text, voice = row.get("text"), row.get("voice")
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"text is {text!r}; expected something to say in every row.")
        options: SpeechOptions = {**shared, **read_options(row)}
        audio = self.bundle.say(text, None if absent(voice) else voice, **options)
        rate = self.bundle.sample_rate
        return {
            "wav": to_bytes(audio, rate, "int16"),
            "sample_rate": rate,
            "seconds": len(audio) / rate,
        }


set_model(SpeechModel())
