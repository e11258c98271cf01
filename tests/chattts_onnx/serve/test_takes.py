"""Takes and sound over HTTP: the header, the metrics, OpenAI's speed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from chattts_onnx.audio import sound
from chattts_onnx.decoding.takes import Watch
from chattts_onnx.serve.http.routes import openai
from chattts_onnx.serve.schemas import OpenAISpeechBody
from chattts_onnx.speech import requests
from tests.chattts_onnx.serve.clients import HELLO, get, post
from tests.chattts_onnx.serve.conftest import Running


def spoken(answer: object) -> np.ndarray:
    return np.frombuffer(answer.content, dtype="<i2")  # type: ignore[attr-defined]


def test_takes_are_told(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    assert post(server, json=HELLO).headers["x-takes"] == "1"
    monkeypatch.setattr(requests, "watch_over", lambda *_: Watch(most=5))
    answer = post(server, json={**HELLO, "takes": 3})
    assert answer.status_code == 200 and answer.headers["x-takes"] == "3"
    events = post(server, json={**HELLO, "takes": 3, "stream_format": "sse"}).text.split("\n\n")
    takes = {"pieces": 1, "drawn": 3, "refused": {"long": 2}, "faults": {"long": 1}}
    assert json.loads(events[-2].removeprefix("data: "))["takes"] == takes
    lines = get(server, "/metrics").text.splitlines()
    for outcome, count in (("again", 4), ("kept", 2)):
        labels = f'fault="long",outcome="{outcome}",variant="tiny"'
        assert f"chattts_takes_refused_total{{{labels}}} {count}.0" in lines


def test_tempo(server: Running) -> None:
    pytest.importorskip("av")
    plain = spoken(post(server, json={**HELLO, "format": "pcm"}))
    fast = spoken(post(server, json={**HELLO, "format": "pcm", "tempo": 2}))
    assert len(fast) == pytest.approx(len(plain) / 2, rel=0.05)


def test_what_is_not_installed_or_named_is_the_callers_error(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound, "stretches", lambda: False)
    answer = post(server, json={**HELLO, "tempo": 2})
    assert answer.status_code == 422 and "chattts-onnx[media]" in answer.json()["error"]["message"]
    answer = post(server, json={**HELLO, "text": "[voice:nobody] hello"})
    assert answer.status_code == 422 and "[voice:nobody]" in answer.json()["error"]["message"]
    answer = post(server, json={**HELLO, "text": "hello [pause:soon]"})
    assert answer.status_code == 422 and "[pause:soon]" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("installed", "fields", "options"),
    [
        (True, {"speed": 2.0}, {"speed": None, "tempo": 2.0}),
        (True, {}, {"speed": None, "tempo": 1.0}),
        (True, {"speed": 2.0, "tempo": 1.1}, {"speed": None, "tempo": 1.1}),
        (False, {"speed": 2.0}, {"speed": 7}),
        (False, {}, {"speed": None}),
    ],
)
def test_openai_s_speed(
    monkeypatch: pytest.MonkeyPatch,
    installed: bool,
    fields: dict[str, float],
    options: dict[str, float | None],
) -> None:
    monkeypatch.setattr(openai, "stretches", lambda: installed)
    assert openai.paced(OpenAISpeechBody(input="x", voice="7", **fields)) == options
