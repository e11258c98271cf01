"""A bundle as an MLflow model: text in, WAV files out.

MLflow copies this file and ``chattts_onnx`` into the model ("models from code"), so a loaded model
needs numpy, onnxruntime and tokenizers besides MLflow, and nothing of the pipeline.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from chattts_onnx import InputError, open_bundle
from chattts_onnx.audio.wav import to_bytes

BUNDLE = "bundle"


class SpeechModel(PythonModel):
    """Rows of ``text`` (and options) to rows of ``wav`` (bytes), ``sample_rate``, ``seconds``."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the bundle; every file is compared with its manifest."""
        self.bundle = open_bundle(context.artifacts[BUNDLE])

    # Without annotations: MLflow would take them for a schema, and the model has one.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Speak every row.

        Args:
            context: of MLflow; not used, the bundle is open.
            model_input: a table with the column ``text`` and any of ``voice`` (a seed or a name),
                ``seed`` and ``speed``; a null is the same as no column.
            params: ``temperature`` and ``max_new_tokens`` of all rows; 0 takes the bundle's.

        Raises:
            InputError: a row has no text, or an option is out of range.
        """
        given = {name: value for name, value in (params or {}).items() if value}
        settings = replace(self.bundle.default_params(), **given)
        rows = pandas.DataFrame(model_input).to_dict("records")
        return pandas.DataFrame([self._speak(row, settings) for row in rows])

    def _speak(self, row: dict[str, Any], settings: Any) -> dict[str, Any]:
        text = row.get("text")
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"text is {text!r}; expected something to say in every row.")
        voice, seed, speed = (_present(row.get(name)) for name in ("voice", "seed", "speed"))
        audio = self.bundle.say(
            text,
            voice,
            params=settings,
            seed=None if seed is None else int(seed),
            speed=None if speed is None else int(speed),
        )
        rate = self.bundle.sample_rate
        return {
            "wav": to_bytes(audio, rate, "int16"),
            "sample_rate": rate,
            "seconds": len(audio) / rate,
        }


def _present(value: Any) -> Any:
    """``value``, or None where a table's cell is empty."""
    return None if value is None or pandas.isna(value) else value


set_model(SpeechModel())
