"""What the application logs."""

from __future__ import annotations

import logging

import pytest

from tests.chattts_onnx.serve.clients import (
    Start,
    get,
    post,
)
from tests.chattts_onnx.serve.conftest import (
    until,
)


def test_no_text_of_a_user_is_logged(
    start_server: Start, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    server = start_server()
    marker = "hello zzsecretzz"
    get(server, "/v1/tts", params={"text": marker})
    get(server, "/v1/tts", params={"text": marker, "voice": "zzsecretzz"})
    get(server, "/v1/tts", params={"text": marker, "speed": "zzsecretzz"})
    post(server, json={"text": marker, "variant": "zzsecretzz"})
    post(server, "/v1/audio/speech", json={"model": "zzsecretzz", "input": marker, "voice": "a"})
    get(server, "/zzsecretzz")
    files = {"file": ("zzsecretzz.txt", marker.encode())}
    job = post(server, "/v1/batch", files=files).json()["id"]
    until(lambda: get(server, f"/v1/batch/{job}").json()["state"] == "done", "the job is done")
    engine = server.service.variants.find(None).engine

    def broken(count: int) -> None:
        raise RuntimeError(marker)

    engine._batch.decoder.step = broken  # type: ignore[method-assign,assignment]
    assert post(server, json={"text": marker}).status_code == 500
    until(lambda: server.service.active == 0, "all has been logged")
    told = [r for r in caplog.records if not r.name.startswith(("httpx", "httpcore"))]
    assert len([r for r in told if r.name == "chattts_onnx.serve"]) > 8
    formatted = "\n".join(logging.Formatter().format(record) for record in told)
    out, err = capfd.readouterr()
    assert "zzsecretzz" not in formatted + out + err


def test_an_unforeseen_error_keeps_its_message_out_of_answer_and_log(
    start_server: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server()

    marker = "secret".join(("zz", "zz"))

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(marker)

    monkeypatch.setattr(server.service, "submit", broken)
    answer = post(server, json={"text": "hello"})
    assert answer.status_code == 500 and answer.json()["error"]["type"] == "RuntimeError"
    until(lambda: "/v1/tts failed" in caplog.text, "it is logged")
    assert "in broken" in caplog.text
    assert marker not in caplog.text + answer.text


def test_texts_are_logged_where_that_is_asked_for(
    start_server: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = start_server(log_texts=True)
    post(server, json={"text": "hello zzsecretzz"})
    until(lambda: "zzsecretzz" in caplog.text, "it is logged")
