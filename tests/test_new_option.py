"""CONTRIBUTING's walk-through: an entry more in the table is an option more everywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_ADDED = """
from typing import Annotated
from chattts_onnx.speech.options import OPTIONS, Option, SpeechOptions, _table
SpeechOptions.__annotations__["warmth"] = Annotated[int | None, Option("how warm", 0, 3)]
OPTIONS.update(_table())
"""
_SEEN = {
    "commands": """
from chattts_onnx import cli
from chattts_onnx.cli.common import given_options
for words in (["say", "x"], ["batch", "c.csv", "-o", "x"]):
    parsed = cli.build_parser().parse_args([*words, "--warmth", "2"])
    assert given_options(parsed)["warmth"] == 2""",
    "HTTP": """
from chattts_onnx.serve.schemas import JobBody, OpenAISpeechBody, SpeechBody
assert SpeechBody(text="x", warmth=2).request().options == {"warmth": 2}
assert "warmth" in OpenAISpeechBody.model_fields and "warmth" in JobBody.model_fields""",
    "tables": """
from chattts_onnx.bulk.line import Defaults, parse_line
import io, pathlib, tempfile
from chattts_onnx.serve.upload import SpeechRequest, receive
assert parse_line(0, {"text": "x", "warmth": "2"}, Defaults()).options["warmth"] == 2
folder = pathlib.Path(tempfile.mkdtemp())
file = io.BytesIO(b"text,warmth\\nx,2\\n")
(line,) = receive(file, "a.csv", folder, SpeechRequest(""), most=9, longest=9).lines()
assert line.request.options["warmth"] == 2""",
    "Triton": """
from pipeline.release.triton.model.inputs import FIELDS
assert [(f.dtype, f.meaning) for f in FIELDS if f.name == "warmth"] == [
    ("TYPE_INT32", "how warm (0 to 3)")]""",
    "MLflow": """
from pipeline.tracking.models import SIGNATURE
assert "warmth" in SIGNATURE.inputs.input_names()
assert "warmth" in [param.name for param in SIGNATURE.params]""",
}


@pytest.mark.parametrize("front", list(_SEEN))
def test_an_option_more_is_one_everywhere(front: str) -> None:
    code = [sys.executable, "-c", _ADDED + _SEEN[front]]
    done = subprocess.run(code, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
