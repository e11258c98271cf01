"""Requests read from tensors as the Python backend gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.errors import ChatTTSError
from pipeline.release.triton.model.inputs import FIELDS, SpeechRequest, read_request

DEFAULTS = GenerationParams()


def read(**values: Any) -> SpeechRequest:
    def tensor(name: str) -> Any:
        if name not in values:
            return None
        value = values[name]
        if isinstance(value, (str, bytes)):
            value = value.encode() if isinstance(value, str) else value
            return np.array([value], dtype=np.object_)
        return np.asarray(value).reshape(-1)

    return read_request(tensor, DEFAULTS, ["anna"], max_characters=20)


def test_only_the_text_is_needed() -> None:
    request = read(text="hello")
    assert (request.text, request.voice) == ("hello", None)
    assert request.options == {"params": DEFAULTS}
    assert [field.name for field in FIELDS if not field.optional] == ["text"]


def test_what_is_given_changes_the_bundles_settings() -> None:
    request = read(text="你好", voice="7", speed=0, seed=0, top_k=0, max_new_tokens=9)
    assert request.text == "你好" and request.voice == "7"
    assert request.options["params"] == DEFAULTS.but(top_k=0, max_new_tokens=9)
    assert (request.options["speed"], request.options["seed"]) == (0, 0)


def test_refining_is_asked_for_in_two_ways() -> None:
    assert read(text="hello", refine=np.array([True])).options["refine_prompt"] == ""
    directed = read(text="hello", refine_prompt="[oral_2]").options
    assert directed["skip_refine"] is False and directed["refine_prompt"] == "[oral_2]"
    assert "skip_refine" not in read(text="hello", refine=np.array([False])).options


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "text is empty"),
        ({"text": " \n"}, "text is empty"),
        ({"text": b"\xff"}, "text is not UTF-8"),
        ({"text": "x" * 21}, "21 characters; at most 20"),
        ({"text": "hello", "top_p": 1.5}, "top_p is 1.5"),
        ({"text": "hello", "seed": [1, 2]}, "seed has 2 elements"),
        ({"text": "hello", "voice": "/etc/passwd"}, "no voice '/etc/passwd'"),
        ({"text": "hello", "voice": "anna#x"}, "no voice 'anna#x': .*anna"),
    ],
)
def test_what_is_wrong_is_said(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ChatTTSError, match=message):
        read(**values)
