"""A bundle as an MLflow model: loaded, and served by MLflow's own server."""

from __future__ import annotations

import base64
import io
import json
import urllib.request
import warnings
import wave
from pathlib import Path

import mlflow.pyfunc
import pandas
import pytest

from pipeline.tracking.models import save_model
from tests.chattts_onnx import tiny_bundle
from tests.pipeline.tracking.servers import mlflow_server

SHORT = {"max_new_tokens": 8}


@pytest.fixture(scope="module")
def saved(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    with warnings.catch_warnings():
        # Each variant of a run is saved; what is told each time is noise.
        warnings.simplefilter("error", UserWarning)
        save_model(tiny, folder)
    return folder


def frames(data: bytes) -> int:
    with wave.open(io.BytesIO(data)) as file:
        assert file.getframerate() == tiny_bundle.MODEL.sample_rate
        return file.getnframes()


def test_a_loaded_model_speaks(saved: Path) -> None:
    model = mlflow.pyfunc.load_model(str(saved))
    answer = model.predict({"text": "hello"}, params=SHORT)
    (line,) = answer.to_dict("records")
    assert frames(line["wav"]) == round(line["seconds"] * line["sample_rate"]) > 0

    rows = pandas.DataFrame({"text": ["hello", "hello"], "seed": [3, 3], "voice": ["7", None]})
    one, two = model.predict(rows, params=SHORT)["wav"]
    again = model.predict({"text": "hello", "voice": "7", "seed": 3}, params=SHORT)["wav"][0]
    assert again == one != two
    other = {**SHORT, "temperature": 2.0, "refine_prompt": "[oral_0]"}
    assert model.predict({"text": "hello", "voice": "7", "seed": 3}, params=other)["wav"][0] != one


@pytest.mark.parametrize("row", [{"text": " "}, {"text": "hello", "speed": 99}])
def test_what_cannot_be_said_is_refused(saved: Path, row: dict[str, object]) -> None:
    with pytest.raises(Exception, match=r"text is|speed"):
        mlflow.pyfunc.load_model(str(saved)).predict(row, params=SHORT)


@pytest.mark.slow
def test_the_real_server_answers_with_audio(saved: Path, tmp_path: Path) -> None:
    arguments = ["models", "serve", "--model-uri", str(saved), "--env-manager", "local"]
    with mlflow_server(arguments, "/ping", tmp_path) as url:
        body = {"dataframe_records": [{"text": "hello", "seed": 1}], "params": SHORT}
        request = urllib.request.Request(
            f"{url}/invocations",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            (row,) = json.load(answer)["predictions"]
    assert frames(base64.b64decode(row["wav"])) == round(row["seconds"] * row["sample_rate"]) > 0
