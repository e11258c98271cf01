"""The vocoder for a tritonserver without the onnxruntime backend: the same graph, the same config.

A batch that Triton's dynamic batcher made is one call.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

# As in ``chattts_onnx``, which this model does not import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort


class TritonPythonModel:
    """One instance: a session of its own."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the graph that ``default_model_filename`` would name."""
        config = json.loads(args["model_config"])
        settings = {key: value["string_value"] for key, value in config["parameters"].items()}
        self._input = config["input"][0]["name"]
        self._output = config["output"][0]["name"]
        options = ort.SessionOptions()
        options.intra_op_num_threads = int(settings["intra_op_thread_count"])
        graph = Path(__file__).resolve().parent / settings["graph"]
        self._session = ort.InferenceSession(
            str(graph), options, providers=["CPUExecutionProvider"]
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """All requests' mels in one run; the batcher put only equal shapes together."""
        mels = [
            pb_utils.get_input_tensor_by_name(request, self._input).as_numpy()
            for request in requests
        ]
        joined = np.concatenate(mels)
        waveform = self._session.run([self._output], {self._input: joined})[0]
        ends = np.cumsum([len(mel) for mel in mels])[:-1]
        return [
            pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor(self._output, part)])
            for part in np.split(waveform, ends)
        ]
